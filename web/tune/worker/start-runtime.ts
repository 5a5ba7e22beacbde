import { fs } from "memfs";
import * as gpuOrt from "onnxruntime-web/jspi";
import * as ort from "onnxruntime-web/wasm";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import { webRuntime } from "./runtime.ts";

const HERE = new URL(".", import.meta.url).href;
const readFile = async (path: string) => new Uint8Array(fs.readFileSync(path) as Uint8Array);

/**
 * ONNX Runtime, whose script lies beside this one.
 *
 * @param program its WebAssembly: the page hands it over, since this thread may reach no address
 * @param threads one where the page isn't isolated from others, since these share memory
 */
export function startRuntime(program: ArrayBuffer, threads: number): Runtime {
  ort.env.wasm.wasmBinary = program;
  ort.env.wasm.wasmPaths = HERE;
  ort.env.wasm.numThreads = crossOriginIsolated ? threads : 1;
  return webRuntime(ort, readFile);
}

/** ONNX Runtime's build for GPUs. @param program as for {@link startRuntime} */
export function startGpu(program: ArrayBuffer): Runtime {
  gpuOrt.env.wasm.wasmBinary = program;
  gpuOrt.env.wasm.wasmPaths = HERE;
  gpuOrt.env.wasm.numThreads = 1;
  return webRuntime(gpuOrt, readFile, "webgpu");
}
