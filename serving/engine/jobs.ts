import type { Value } from "../../shared/graph/engine.ts";
import type { Beginning, Prefix } from "../../shared/training/decoder.ts";
import type { Choice } from "./choice.ts";

/** A text that is continued, by one or several answers. */
export interface Continuation {
  /** Its tokens, at least one. */
  readonly ids: Int32Array;
  readonly prefix: Prefix | undefined;
  readonly choices: readonly Choice[];
  /** Aborted: nobody waits for it any more. */
  readonly signal: AbortSignal;
  /** Told when the model begins to read it. */
  readonly onBegin: () => void;
  /** Told when answers have grown. */
  readonly onGrowth: () => void;
}

/** A text of which is asked what comes next. */
export interface Question {
  readonly ids: Int32Array;
  readonly prefix: Prefix | undefined;
  readonly signal: AbortSignal;
  readonly onBegin: () => void;
}

/** Why a question has no answer whose signal was aborted. */
export const nobodyWaits = () => new DOMException("nobody waits for it any more", "AbortError");

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** What waits for the model. */
export type Job =
  | ({ readonly kind: "continue"; readonly text: Continuation } & Waiting<void>)
  | ({ readonly kind: "ask"; readonly text: Question } & Waiting<Float32Array>)
  | ({ readonly kind: "prompt"; readonly value: Value } & Waiting<Prefix>);

export type ContinueJob = Extract<Job, { kind: "continue" }>;
export type AskJob = Extract<Job, { kind: "ask" }>;

export function isAborted(job: Job): boolean {
  return job.kind !== "prompt" && job.text.signal.aborted;
}

/** Settles a job that nobody waits for. */
export function abandon(job: Job): void {
  if (job.kind === "continue") job.resolve();
  else job.reject(nobodyWaits());
}

/** Tells jobs that they begin. @returns those whose request took it */
export function begun<J extends ContinueJob | AskJob>(jobs: readonly J[]): J[] {
  return jobs.filter(({ text, reject }) => {
    const error = thrownBy(text.onBegin);
    if (error) reject(error);
    return !error;
  });
}

/** What a request's own function throws: it is for that request, not for the batch. */
export function thrownBy(tell: () => void): Error | undefined {
  try {
    tell();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

export function beginning({ ids, prefix }: Continuation | Question): Beginning {
  return { ids, prefix };
}

/** Tokens of a text, or rows of a prompt. */
export function lengthOf(job: Job): number {
  return job.kind === "prompt" ? job.value.shape[0]! : job.text.ids.length;
}

/** Some rows of a matrix. */
export function rowsOf({ shape, data }: Value, first: number, most: number): Value {
  const [rows, width] = shape as readonly [number, number];
  const count = Math.min(most, rows - first);
  return { shape: [count, width], data: data.subarray(first * width, (first + count) * width) };
}
