import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Device } from "./graph.ts";
import { GraphEngine } from "./graph-engine.ts";
import type { Reply, Request, SessionPort } from "./session-messages.ts";

export { type Copy, DEVICES, type Device, type Graph, type Session, type Value } from "./graph.ts";

/**
 * Sets what ONNX Runtime and CUDA's libraries read when they are loaded. It has to be done in the first thread: another's environment is a copy
 * that native code doesn't see.
 */
export function prepareRuntime(): void {
  // It would send a machine id and an event for every session to its makers, and leave files.
  process.env.ORT_DISABLE_TELEMETRY = "1";
  // CUDA would round the factors of float32 products to 10 bits: too coarse for what bounds a sensitivity, and no option of the binding stops it.
  process.env.NVIDIA_TF32_OVERRIDE = "0";
}

/** An engine whose sessions live in a thread of their own, so that progress, Ctrl-C and heartbeats live while a graph runs. */
export class Engine extends GraphEngine {
  /**
   * @param threads CPU threads within an operator; all cores by default
   * @param device where a graph can't be loaded if it is missing
   */
  constructor({
    threads = availableParallelism(),
    device = "cpu",
  }: {
    threads?: number | undefined;
    device?: Device | undefined;
  } = {}) {
    super(new SessionThread(threads, device));
  }
}

class SessionThread implements SessionPort {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #failure: Error | undefined;
  #next = 0;

  constructor(threads: number, device: Device) {
    prepareRuntime();
    const file = import.meta.url.endsWith(".ts") ? "./session-worker.ts" : "./session-worker.js";
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: { threads, device }, execArgv: [] });
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", (code) => this.#fail(new Error(`the engine's thread ended (${code})`)));
  }

  call<T>(request: Request): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#next++;
    this.#worker.ref();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle({ id, value, error }: Reply): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (error !== undefined) waiting?.reject(new Error(error));
    else waiting?.resolve(value as never);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
