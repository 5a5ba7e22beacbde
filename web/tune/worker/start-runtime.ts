import { fs } from "memfs";
import * as ort from "onnxruntime-web/wasm";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import { webRuntime } from "./runtime.ts";

/**
 * ONNX Runtime, whose script lies beside this one.
 *
 * @param program its WebAssembly: the page hands it over, since this thread may reach no address
 * @param threads one where the page isn't isolated from others, since these share memory
 */
export function startRuntime(program: ArrayBuffer, threads: number): Runtime {
  ort.env.wasm.wasmBinary = program;
  ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
  ort.env.wasm.numThreads = crossOriginIsolated ? threads : 1;
  return webRuntime(ort, async (path) => new Uint8Array(fs.readFileSync(path) as Uint8Array));
}
