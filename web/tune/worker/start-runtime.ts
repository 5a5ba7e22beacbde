import { fs } from "memfs";
import * as ort from "onnxruntime-web/wasm";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import { webRuntime } from "./runtime.ts";

/**
 * ONNX Runtime, whose files lie beside this script.
 *
 * @param threads one where the page isn't isolated from others, since these share memory
 */
export async function startRuntime(threads: number): Promise<Runtime> {
  ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
  ort.env.wasm.numThreads = crossOriginIsolated ? threads : 1;
  return webRuntime(ort, async (path) => new Uint8Array(fs.readFileSync(path) as Uint8Array));
}
