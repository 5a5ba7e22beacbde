import type { Value } from "../graph/engine.ts";

/** Batches that a language model's weights are trained on. A step's batch is the same whenever it is asked for. */
export interface LanguageRows {
  /** Rows in the token stream. */
  readonly count: number;
  /** Of a step counted from 0, `[B, T]` each. */
  batch(step: number): LanguageBatch;
}

/** Graph inputs, `[B, T]` each. */
export interface LanguageBatch extends Readonly<Record<string, Value>> {
  /** int32 */
  readonly ids: Value;
  /** What is to be predicted at every position, int32. */
  readonly labels: Value;
  /** 1 where it is, 0 elsewhere, float32. */
  readonly predicted: Value;
}

export interface RowOptions {
  /** Tokens a row, T. */
  readonly length: number;
  readonly batchSize: number;
  readonly seed: number;
}
