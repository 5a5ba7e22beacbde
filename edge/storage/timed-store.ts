import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Binding, PromptStore } from "./prompt-store.ts";

/** A bucket answers within a second; on one machine whose disk is full a write isn't answered at all. */
const ANSWER_MS = 30_000;
/** A large file comes as fast as the client sends it. */
export const STREAM_MS = 900_000;

/** A bucket none of whose answers is waited for without end. Each is a ProblemError (503) after a while. */
export class TimedStore implements PromptStore {
  private readonly store: Binding;

  constructor(store: Binding) {
    this.store = store;
  }

  get(...[key, options = {}]: Parameters<PromptStore["get"]>): ReturnType<PromptStore["get"]> {
    return inTime(this.store.get(key, options));
  }

  head(key: string): Promise<unknown> {
    return inTime(this.store.head(key));
  }

  put(...[key, value, options = {}]: Parameters<PromptStore["put"]>): Promise<unknown> {
    return inTime(this.store.put(key, value, options));
  }

  putStream(key: string, body: ReadableStream): Promise<unknown> {
    return inTime(this.store.put(key, body), STREAM_MS);
  }

  delete(key: string): Promise<void> {
    return inTime(this.store.delete(key));
  }

  list(options: Parameters<PromptStore["list"]>[0]): ReturnType<PromptStore["list"]> {
    return inTime(this.store.list(options));
  }
}

async function inTime<T>(answer: Promise<T>, limit = ANSWER_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const problem = new ProblemError("The storage can't be reached", "Try again in a moment.", { status: 503 });
  const timer = setTimeout(() => late.reject(problem), limit);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
