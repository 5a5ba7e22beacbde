/** The part of WebGPU that is asked before ONNX Runtime uses it. */
interface WithGpu {
  readonly gpu?: { requestAdapter(): Promise<object | null> };
}

/** Whether the browser lets a page compute on a GPU, and waits for it in WebAssembly (JSPI), as ONNX Runtime's build for it has to. */
export async function hasGpu(): Promise<boolean> {
  if (!("Suspending" in WebAssembly)) return false;
  const adapter = await (navigator as WithGpu).gpu?.requestAdapter().catch(() => null);
  return adapter !== null && adapter !== undefined;
}
