import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { ProblemError } from "../shared/protocol/errors.ts";

/**
 * What softpost keeps on this machine: `$SOFTPOST_HOME`, or `~/.softpost`.
 *
 * @throws ProblemError for a relative path: every working directory would have a ledger of its own
 */
export function softpostHome(): string {
  const given = process.env.SOFTPOST_HOME;
  if (!given) return join(homedir(), ".softpost");
  if (isAbsolute(given)) return given;
  const detail = `SOFTPOST_HOME is "${given}". Give it from the root on, such as ${resolve(given)}: else what is charged would depend on the folder that a command is run in.`;
  throw new ProblemError("SOFTPOST_HOME is a relative path", detail);
}
