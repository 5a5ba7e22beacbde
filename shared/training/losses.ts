/** The losses of the design as graph nodes. B rows, T positions, N = B·T, V vocabulary, D width. */
import { add, div, exp, mul, neg, sqrt, sub } from "../graph/operators/elementwise.ts";
import { crossEntropy } from "../graph/operators/indexing.ts";
import { matmul } from "../graph/operators/matrix.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { logSoftmax } from "../graph/operators/softmax.ts";
import { constant, integers, type Tensor } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";

/** T of distillation, and of a transfer that compares whole vocabularies (Hinton et al. 2015, section 2; POST's code). */
export const TEMPERATURE = 2;

/**
 * T²·KL(softmax(wanted/T) ‖ softmax(actual/T)) of every row.
 * @param wanted logits `[N, V]` that no gradient flows to; `actual` likewise shaped
 * @returns `[N]`
 */
export function softKl(wanted: Tensor, actual: Tensor, temperature = TEMPERATURE): Tensor {
  const p = logSoftmax(mul(wanted, 1 / temperature));
  const q = logSoftmax(mul(actual, 1 / temperature));
  return mul(reduceSum(mul(exp(p), sub(p, q)), [-1]), temperature ** 2);
}

/** 1 − cos(a, b) of every row: `[N, D]` each, result `[N]`. */
export function cosineDistance(a: Tensor, b: Tensor): Tensor {
  const dot = (x: Tensor, y: Tensor) => reduceSum(mul(x, y), [-1]);
  return add(neg(div(dot(a, b), sqrt(mul(dot(a, a), dot(b, b))))), 1);
}

/** The mean of `[N]` values, each counted with a weight `[N]`. */
export function weightedMean(values: Tensor, weights: Tensor): Tensor {
  return div(reduceSum(mul(values, weights)), reduceSum(weights));
}

/** What a language model makes of all positions of a batch, row after row. */
export interface LanguageOutputs {
  /** Final hidden states `[N, D]`. */
  readonly hidden: Tensor;
  /** Logits `[n, V]` of some of them, `[n, D]`. */
  head(hidden: Tensor): Tensor;
}

/** What the positions of a batch are compared with. */
export interface LanguageTargets {
  /** The token that is to be predicted at every position, int32 `[N]`. */
  readonly labels: Tensor;
  /** 1 where it counts, 0 elsewhere, float32 `[N]`. */
  readonly predicted: Tensor;
}

/** The mean cross-entropy over the predicted positions. */
export function languageLoss({ hidden, head }: LanguageOutputs, { labels, predicted }: LanguageTargets): Tensor {
  return weightedMean(crossEntropy(head(hidden), labels), predicted);
}

/**
 * The score of every class: the mean of the logits of its verbalizer tokens. Only those tokens' logits are computed.
 * @param hidden final hidden states `[B, D]`
 * @param classes token ids of each of K classes
 * @returns `[B, K]`
 */
export function classScores(model: Model, hidden: Tensor, classes: readonly ArrayLike<number>[]): Tensor {
  const tokens = classes.flatMap((words) => Array.from(words));
  const average = classes.flatMap((words, k) =>
    Array.from(words, () => classes.map((_, column) => (column === k ? 1 / words.length : 0))),
  );
  const logits = model.logits(hidden, integers(tokens));
  return matmul(logits, constant(average.flat(), [tokens.length, classes.length]));
}
