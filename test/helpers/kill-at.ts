/**
 * Loaded before a batch job (`NODE_OPTIONS=--import …`): sends it the signal that SOFTPOST_TEST_KILL names at its n-th moment ("SIGKILL 17"). A
 * moment is a training step that is asked for, or a request to the bucket that is sent or answered: whatever a job can be in the middle of.
 */
import { subscribe } from "node:diagnostics_channel";
import { Worker } from "node:worker_threads";
import type { Request } from "../../shared/graph/session-worker.ts";

const [signal = "", at = ""] = process.env.SOFTPOST_TEST_KILL!.split(" ");
let moments = 0;

function moment(): void {
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
