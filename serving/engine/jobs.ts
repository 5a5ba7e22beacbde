import type { Value } from "../../shared/graph/engine.ts";
import type { Prefix } from "../../shared/training/decoder.ts";
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
