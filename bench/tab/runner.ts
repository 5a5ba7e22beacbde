/** A thread of a page that runs an engine's graphs on what a tab tunes with, and times them. */
import * as ort from "onnxruntime-web/wasm";
import { SessionHost } from "../../shared/graph/session-host.ts";
import type { Request } from "../../shared/graph/session-messages.ts";
import { webRuntime } from "../../web/tune/worker/runtime.ts";
import { fromText } from "./request-text.ts";

ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
ort.env.wasm.numThreads = Number(new URL(import.meta.url).searchParams.get("threads"));

const read = async (path: string) => new Uint8Array(await (await fetch(`/weights${path}`)).arrayBuffer());
const host = new SessionHost(webRuntime(ort, read));

addEventListener("message", async ({ data }: MessageEvent<string>) => {
  try {
    const request = fromText(data) as Request;
    const start = performance.now();
    const value = await host.answer(request);
    const milliseconds = performance.now() - start;
    postMessage({ milliseconds, loss: (value as Record<string, { data: Float32Array }> | undefined)?.loss?.data[0] });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
