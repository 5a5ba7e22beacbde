import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Copy, Device, Graph, Session, Value } from "./graph.ts";
import { packsWeights } from "./memory.ts";
import { serialise } from "./serialise.ts";
import type { Reply, Request } from "./session-messages.ts";
import type { Tensor } from "./tensor.ts";

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

/**
 * ONNX Runtime in a thread of its own, so that progress, Ctrl-C and heartbeats live while a graph runs. Variables
 * belong to the engine, not to a graph: every graph that is loaded sees them by their names.
 */
export class Engine {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #failure: Error | undefined;
  #next = 0;

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
    prepareRuntime();
    const file = import.meta.url.endsWith(".ts") ? "./session-worker.ts" : "./session-worker.js";
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: { threads, device }, execArgv: [] });
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", (code) => this.#fail(new Error(`the engine's thread ended (${code})`)));
  }

  /** Makes a graph ready to run. */
  async load(graph: Graph): Promise<Session> {
    const { outputs, updates = [], appends = [] } = graph;
    const changed = Object.fromEntries([...updates, ...appends].map((each) => [`next.${nameOf(each)}`, each.next]));
    const onnx = serialise({ ...outputs, ...changed });
    const handle = this.#next;
    const names = { updates: updates.map(nameOf), appends: appends.map(nameOf) };
    await this.#call({ type: "load", handle, onnx, ...names, packed: packsWeights(graph) });
    return {
      run: (feeds, part = {}) => this.#call({ type: "run", handle, feeds, part }),
      release: () => this.#call({ type: "release", handle }),
    };
  }

  /** Sets variables. */
  set(variables: Readonly<Record<string, Value>>): Promise<void> {
    return this.#call({ type: "set", variables });
  }

  /** Copies of variables. */
  get(names: readonly string[]): Promise<Record<string, Value>> {
    return this.#call({ type: "get", names });
  }

  /** Gives variables another shape, new ones their first: what is in both shapes stays where it is, the rest is 0. */
  resize(shapes: Readonly<Record<string, readonly number[]>>): Promise<void> {
    return this.#call({ type: "resize", shapes });
  }

  /** Copies pieces of variables, one after the other. */
  copy(copies: readonly Copy[]): Promise<void> {
    return this.#call({ type: "copy", copies });
  }

  /** Frees variables that are not needed any more. */
  drop(names: readonly string[]): Promise<void> {
    return this.#call({ type: "drop", names });
  }

  /** Ends the thread and frees all memory. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #call<T>(request: Request): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#next++;
    this.#worker.ref();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
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

function nameOf({ variable }: { readonly variable: Tensor }): string {
  if (variable.source.kind !== "variable") throw new Error("only variables can be updated");
  return variable.source.name;
}
