/**
 * Loaded before a batch job (`NODE_OPTIONS=--import …`): sends it the signal that SOFTPOST_TEST_KILL names at its n-th moment ("SIGKILL 17"), or at the
 * n-th after it has begun its m-th transfer ("SIGKILL 17 started:2"). A moment is a run of a graph that is asked for, or a request to
 * the bucket that is sent or answered: whatever a job can be in the middle of.
 */
import { subscribe } from "node:diagnostics_channel";
import { Worker } from "node:worker_threads";
import type { Request } from "../../shared/graph/session-messages.ts";

const [signal = "", at = "", from = "started:0"] = process.env.SOFTPOST_TEST_KILL!.split(" ");
let moments = 0;
let started = 0;

function moment(): void {
  if (started < Number(from.split(":")[1])) return;
  moments += 1;
  if (moments === Number(at)) process.kill(process.pid, signal);
}

subscribe("http.client.request.start", moment);
subscribe("http.client.response.finish", moment);

const { postMessage } = Worker.prototype;
Worker.prototype.postMessage = function (this: Worker, message: { readonly request: Request }) {
  if (message.request.type === "run") moment();
  postMessage.call(this, message);
};

// A job tells in its log what it begins.
const write = process.stderr.write.bind(process.stderr);
process.stderr.write = ((text: string, ...rest: []) => {
  if (text.includes('"event":"started"')) started += 1;
  return write(text, ...rest);
}) as typeof process.stderr.write;
