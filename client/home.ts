import { homedir } from "node:os";
import { join } from "node:path";

/** What softpost keeps on this machine: `$SOFTPOST_HOME`, or `~/.softpost`. */
export function softpostHome(): string {
  return process.env.SOFTPOST_HOME ?? join(homedir(), ".softpost");
}
