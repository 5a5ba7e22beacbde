/**
 * Loaded before a program that trains (`NODE_OPTIONS=--import …`): while the file SOFTPOST_TEST_HOLD exists, a run does no more than the
 * number of steps that stands in it, says so on stderr, and waits until the file is gone or the program is told to stop. So a test
 * finds a run where it wants it, however fast or slow the machine is.
 */
import { existsSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Request } from "../../shared/graph/session-messages.ts";

const file = process.env.SOFTPOST_TEST_HOLD!;
/** How often the file is looked for. */
const LOOK_MS = 20;

let steps = 0;
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stopped = true;
  });
}

/** Graphs that change a variable: their runs are the steps. */
const training = new Set<number>();
const { postMessage } = Worker.prototype;
let last: Promise<void> = Promise.resolve();

Worker.prototype.postMessage = function (this: Worker, message: { readonly request: Request }) {
  last = last.then(async () => {
    const { request } = message;
    if (request.type === "load" && request.updates.length > 0) training.add(request.handle);
    if (request.type === "run" && training.has(request.handle)) {
      if (holds()) process.stderr.write("Held by the test.\n");
      while (holds()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      steps += 1;
    }
    postMessage.call(this, message);
  });
};

function holds(): boolean {
  return !stopped && existsSync(file) && steps >= Number(readFileSync(file, "utf8"));
}
