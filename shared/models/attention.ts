/** Attention of queries to the keys of a soft prompt `[L, P, …]` (L is 1 or `PER_EXAMPLE`) and of texts `[B, T, …]`. */
import { add, lessOrEqual, mul, sub, where } from "../graph/operators/elementwise.ts";
import { cast, concat, range, reshape, split as splitAt, transpose } from "../graph/operators/layout.ts";
import { matmul, swapLast } from "../graph/operators/matrix.ts";
import { sumLast } from "../graph/operators/reduction.ts";
import { constantSoftmax } from "../graph/operators/softmax.ts";
import { type Dim, PER_EXAMPLE, product } from "../graph/shape.ts";
import { closedForm, constant, type Tensor } from "../graph/tensor.ts";
import type { Model } from "./model.ts";

/** Added to the score of a position that must not be seen. */
export const HIDDEN = -1e9;
/** Makes −6e4 of it in float16, where there is nothing below −65504. */
const IN_HALF = 6e-5;

/** Features of the prompt `[L, P, W]`, if there is one, and of the texts `[B, T, W]`. */
export interface Parts {
  readonly prompt?: Tensor;
  readonly texts: Tensor;
}

/**
 * What every query sees, weighted by softmax(q·k/√d) (Vaswani et al. 2017, equation 1). The H / K heads of queries that share a
 * head of keys (Ainslie et al. 2023) stand one behind the other, as further queries of it. All is in the model's precision
 * but the softmax and the sums of its gradient, which are in float32.
 * @param query `[B, Q, H·d]`
 * @param key of the prompt and the texts, `[…, K·d]`; likewise `value`
 * @param mask what to add to the scores between a query and the texts' positions, `[Q, 1, T]` or `[B, 1, 1, T]`
 * @returns `[B, Q, H·d]`, in the model's precision
 */
export function attend(query: Tensor, key: Parts, value: Parts, mask: Tensor, { config, precision }: Model): Tensor {
  const { heads, keyHeads } = config;
  const [rows, queries, width] = query.shape as readonly [Dim, Dim, number];
  const [groups, size] = [heads / keyHeads, width / heads];
  const grouped = [keyHeads, rows, queries, groups] as const;
  const flat = [keyHeads, rows, product([queries, groups])] as const;
  const split = (x: Tensor) => splitHeads(cast(x, precision), keyHeads);
  const scaled = mul(reshape(split(query), [...flat, size]), 1 / Math.sqrt(size));
  const length = key.texts.shape[1]!;
  const products = reshape(matmul(scaled, swapLast(split(key.texts))), [...grouped, length]);
  const hidden = precision === "float16" ? cast(mul(mask, IN_HALF), precision) : mask;
  const scores = reshape(add(products, hidden), [...flat, length]);
  const values = split(value.texts);
  const seen: Seen[] = [{ scores, values, times: matmul }];
  if (key.prompt && value.prompt) {
    const toPrompt = timesShared(scaled, swapLast(split(key.prompt)));
    seen.unshift({ scores: toPrompt, values: split(value.prompt), times: timesShared });
  }
  const context = reshape(weighted(seen), [keyHeads, rows, queries, groups * size]);
  return mergeHeads(context);
}

/** Positions that are seen: their scores, their values, and how weights and values are multiplied. */
interface Seen {
  readonly scores: Tensor;
  readonly values: Tensor;
  times(weights: Tensor, values: Tensor): Tensor;
}

/**
 * The values of all that is seen, weighted by the softmax p of all scores together. With o for the result, the gradient of scores
 * is p (dp − Σ do o) (Dao et al. 2022, appendix B.2, equation 4): neither the scores nor their gradients have to be joined for it.
 */
function weighted(seen: readonly Seen[]): Tensor {
  const scores = seen.map((each) => each.scores);
  const [only, ...others] = scores as [Tensor, ...Tensor[]];
  const precision = only.dtype;
  const all = cast(constantSoftmax(cast(others.length === 0 ? only : concat(scores, -1), "float32")), precision);
  const lengths = scores.map(({ shape }) => shape.at(-1)!);
  const weights = others.length === 0 ? [all] : splitAt(all, -1, lengths);
  const products = seen.map(({ values, times }, i) => times(weights[i]!, values));
  const context = products.reduce((a, b) => add(a, b));
  return closedForm(context, [context, ...scores], (gradient) => {
    const common = cast(sumLast(mul(cast(gradient, "float32"), cast(context, "float32"))), precision);
    const ofScores =
      ({ values, times }: Seen, i: number) =>
      () =>
        mul(weights[i]!, sub(times(gradient, swapLast(values)), common));
    return [() => gradient, ...seen.map(ofScores)];
  });
}

/**
 * `[K, B, Q, X] × [K, L, X, Y]`. Shared by the batch (L = 1) it is one product a head, in which the gradient of the
 * right side is summed over the batch; per example it stays batched, and so does its gradient.
 */
function timesShared(left: Tensor, right: Tensor): Tensor {
  const [heads, rows, queries, inner] = left.shape as readonly [Dim, Dim, Dim, Dim];
  const [, lead, , columns] = right.shape as readonly [Dim, Dim, Dim, Dim];
  if (lead === PER_EXAMPLE) return matmul(left, right);
  const folded = reshape(left, [heads, product([rows, queries]), inner]);
  return reshape(matmul(folded, reshape(right, [heads, inner, columns])), [heads, rows, queries, columns]);
}

/** `[N, Q, K·w]` → `[K, N, Q, w]` */
function splitHeads(x: Tensor, heads: number): Tensor {
  const [rows, length, width] = x.shape as readonly [Dim, Dim, number];
  return transpose(reshape(x, [rows, length, heads, width / heads]), [2, 0, 1, 3]);
}

/** `[K, N, Q, w]` → `[N, Q, K·w]` */
function mergeHeads(x: Tensor): Tensor {
  const [heads, rows, length, size] = x.shape as readonly [number, Dim, Dim, number];
  return reshape(transpose(x, [1, 2, 0, 3]), [rows, length, heads * size]);
}

/** The mask `[N, 1, N]` that hides later positions. */
export function causalMask(length: Dim): Tensor {
  const positions = range(0, length);
  return hideUnless(lessOrEqual(positions, reshape(positions, [length, 1, 1])));
}

/** The mask `[B, 1, 1, T]` that hides what is after the last position of every text, int32 `[B]`. */
export function lastMask(last: Tensor, length: Dim): Tensor {
  return positionMask(reshape(last, [last.shape[0]!, 1]), length);
}

/** The mask `[B, Q, 1, T]` that hides what is after each of Q positions of every text, int32 `[B, Q]`. */
export function positionMask(positions: Tensor, length: Dim): Tensor {
  return hideUnless(lessOrEqual(range(0, length), reshape(positions, [...positions.shape, 1, 1])));
}

function hideUnless(seen: Tensor): Tensor {
  return where(seen, constant(0), constant(HIDDEN));
}
