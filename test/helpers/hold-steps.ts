/**
 * Loaded before a program that trains (`NODE_OPTIONS=--import …`): while the file SOFTPOST_TEST_HOLD exists, a run does no more than the
 * number of steps that stands in it, says so on stderr, and waits until the file is gone or the program is told to stop. So a test
 * finds a run where it wants it, however fast or slow the machine is. With "any" behind the number every run of a graph counts, not only
 * steps; with "forever" it waits on when it is told to stop, as a step that takes long does.
 */
import { existsSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Request } from "../../shared/graph/session-messages.ts";

const file = process.env.SOFTPOST_TEST_HOLD!;
/** On a terminal it is the window's title, which nothing on the screen makes room for. */
const HELD_TITLE = "\u001b]0;Held by the test.\u0007";
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
    if (request.type === "run" && (training.has(request.handle) || held().includes("any"))) {
      if (holds()) process.stderr.write(process.stderr.isTTY ? HELD_TITLE : "Held by the test.\n");
      while (holds()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      steps += 1;
    }
    postMessage.call(this, message);
  });
};

/** What stands in the file: a number of steps, and words. */
function held(): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").split(" ") : [];
}

function holds(): boolean {
  const [most, ...words] = held();
  return most !== undefined && steps >= Number(most) && (!stopped || words.includes("forever"));
}
