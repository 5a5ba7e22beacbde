import { once } from "node:events";
import { type Party, startSoftpost } from "./softpost.ts";

/** A running `softpost serve`. */
export interface Served {
  readonly url: string;
  readonly key: string;
  /** Stops it and waits for its end. */
  close(): Promise<void>;
}

/**
 * Starts `softpost serve` as a process of its own; resolves when it answers. It ends with this process, whatever ends that.
 *
 * @throws if it is stopped or ends before it answers
 */
export async function serve(party: Party, ...args: readonly string[]): Promise<Served> {
  const shown = ["serve", ...args];
  // In a group of its own, so that Ctrl-C in the terminal doesn't reach it: it is stopped last, once, when the client is done.
  const child = startSoftpost(party, shown, shown, { detached: true });
  const ended = once(child, "exit");
  // Once: a second signal would end it before it has stopped what it started.
  let asked = false;
  const end = () => {
    if (!asked) child.kill("SIGTERM");
    asked = true;
  };
  process.once("exit", end);
  party.stop.addEventListener("abort", end, { once: true });
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    output += chunk;
    if (output.includes("\n")) break;
  }
  if (!output.includes("\n")) throw new Error("softpost serve ended before it answered");
  child.stdout.resume();
  const { url, key } = JSON.parse(output);
  return {
    url,
    key,
    async close() {
      end();
      await ended;
      process.off("exit", end);
    },
  };
}
