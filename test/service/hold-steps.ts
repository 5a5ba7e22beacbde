/**
 * Loaded before a transfer's job (`NODE_OPTIONS=--import …`): while the file SOFTPOST_TEST_HOLD exists, every attempt does no more than the number of
 * steps that stands in it, and then waits until the file is gone or the job is told to stop. So a test finds the job where it wants it,
 * however fast or slow the machine is.
 */
import { existsSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

const file = process.env.SOFTPOST_TEST_HOLD!;
/** How often the file is looked for. */
const LOOK_MS = 20;

let steps = 0;
let stopped = false;
process.once("SIGTERM", () => {
  stopped = true;
});

const { postMessage } = Worker.prototype;
let last: Promise<void> = Promise.resolve();
Worker.prototype.postMessage = function (this: Worker, message: Message) {
  last = last.then(async () => {
    // Only a step of the transfer itself has a weight between its two losses.
    if (message.request.feeds && "alpha" in message.request.feeds) {
      while (!stopped && existsSync(file) && steps >= Number(readFileSync(file, "utf8"))) await pause();
      steps += 1;
    }
    postMessage.call(this, message);
  });
};

interface Message {
  readonly request: { readonly feeds?: object };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
