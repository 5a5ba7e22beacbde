/** Names that Node has without an import: esbuild puts them in where they are used. */
export { Buffer } from "buffer";

export const process = {
  env: {} as Record<string, string | undefined>,
  pid: 1,
  constrainedMemory: () => undefined,
  memoryUsage: () => ({ heapTotal: 0, external: 0 }),
  platform: "linux",
  cwd: () => "/",
  emitWarning: () => {},
  nextTick: (run: (...values: unknown[]) => void, ...values: unknown[]) => queueMicrotask(() => run(...values)),
};
