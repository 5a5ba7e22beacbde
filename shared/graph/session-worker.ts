/** The thread of an engine in Node. It answers one request at a time, in order. */
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Device } from "./graph.ts";
import { SessionHost } from "./session-host.ts";
import type { Reply, Request } from "./session-messages.ts";

const { threads, device } = workerData as { threads: number; device: Device };

const host = new SessionHost({
  Tensor,
  writesInPlace: true,
  open: (onnx, packed) =>
    InferenceSession.create(onnx.bytes, {
      executionProviders: [device],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      // A plan of the memory is made for every shape and takes as much again beside what the arena holds; it saves no time.
      enableMemPattern: false,
      extra: {
        session: {
          ...(onnx.weightFolder !== undefined && { model_external_initializers_file_folder_path: onnx.weightFolder }),
          ...(!packed && { disable_prepacking: "1" }),
        },
      },
    }),
});

let queue = Promise.resolve();
parentPort!.on("message", ({ id, request }: { id: number; request: Request }) => {
  queue = queue.then(async () => {
    const reply: Reply = await host.answer(request).then(
      (value) => ({ id, value }),
      (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
    );
    parentPort!.postMessage(reply);
  });
});
