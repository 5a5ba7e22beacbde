import { ProblemError } from "../../shared/protocol/errors.ts";
import type { TrainingEvent } from "../../shared/training/events.ts";
import type { Calls, FromThread, RequestRecord } from "./worker/messages.ts";

/** The run was stopped; its state is kept. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/** Who hears what a thread tells unasked. */
export interface Listener {
  onEvent?(event: TrainingEvent): void;
  onRequests?(requests: readonly RequestRecord[]): void;
  /** The thread ended by itself: most likely the tab has no more memory. */
  onFailure?(message: string): void;
}

/** A thread of the page that answers requests. */
class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 0;

  constructor(script: string, listener: Listener) {
    this.#worker = new Worker(new URL(script, import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<FromThread>) => {
      if (data.kind === "event") listener.onEvent?.(data.event);
      else if (data.kind === "requests") listener.onRequests?.(data.requests);
      else if (data.kind === "answer") this.#settle(data);
    });
    this.#worker.addEventListener("error", (event) => {
      const message = event.message || "its script can't be loaded";
      listener.onFailure?.(message);
      for (const { reject } of this.#waiting.values()) reject(new Error(message));
      this.#waiting.clear();
    });
  }

  ask<T>(request: object, given: readonly Transferable[] = []): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id }, [...given]);
    });
  }

  end(): void {
    this.#worker.terminate();
  }

  #settle({ id, value, problem }: Extract<FromThread, { kind: "answer" }>): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem === undefined) waiting?.resolve(value as never);
    else if (problem.stopped !== undefined) waiting?.reject(new StoppedError(problem.detail));
    else waiting?.reject(new ProblemError(problem.title, problem.detail, { faults: problem.faults }));
  }
}

/** The thread that holds the private rows. */
export class TuningThread extends Thread {
  constructor(listener: Listener) {
    super("./tune-worker.js", listener);
  }

  readonly #started = new Map<string, Promise<void>>();

  /** Loads ONNX Runtime, once, and hands it over. @throws ProblemError if it can't be loaded */
  startRuntime(threads: number): Promise<void> {
    return this.#start("ort-wasm-simd-threaded.wasm", (program) => ({
      call: "startRuntime",
      args: [program, threads],
    }));
  }

  /** The same with ONNX Runtime's build for GPUs. */
  startGpu(): Promise<void> {
    return this.#start("ort-wasm-simd-threaded.jspi.wasm", (program) => ({ call: "startGpu", args: [program] }));
  }

  async #start(file: string, request: (program: ArrayBuffer) => object): Promise<void> {
    const start = async () => {
      const program = await loadProgram(file);
      await this.ask<void>(request(program), [program]);
    };
    const started = this.#started.get(file) ?? start();
    this.#started.set(file, started);
    try {
      await started;
    } catch (error) {
      this.#started.delete(file);
      throw error;
    }
  }

  /** @throws ProblemError as the thread; StoppedError if a run was stopped */
  call<K extends keyof Calls>(call: K, ...args: Parameters<Calls[K]>): Promise<ReturnType<Calls[K]>> {
    return this.ask({ call, args });
  }
}

/** The thread that downloads students. */
export class DownloadThread extends Thread {
  constructor(listener: Listener) {
    super("./download-worker.js", listener);
  }

  /** Downloads a student's files into the browser's storage, or what is missing of them. @throws ProblemError if it fails */
  download(
    provider: { readonly url: string; readonly key: string },
    student: Parameters<Calls["openStudent"]>[0],
  ): Promise<void> {
    return this.ask({ ...provider, student });
  }
}

async function loadProgram(file: string): Promise<ArrayBuffer> {
  const response = await fetch(new URL(file, import.meta.url)).catch(() => undefined);
  if (response?.ok) return response.arrayBuffer();
  throw new ProblemError("Tuning can't begin", "ONNX Runtime can't be loaded from where this page is from. Try again.");
}
