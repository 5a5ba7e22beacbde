/** Causal attention of texts `[B, T, …]` that see a soft prompt `[L, P, …]` before them; L is 1 or `PER_EXAMPLE`. */
import { add, lessOrEqual, mul, where } from "../graph/operators/elementwise.ts";
import { concat, range, reshape, split, transpose } from "../graph/operators/layout.ts";
import { matmul, swapLast } from "../graph/operators/matrix.ts";
import { softmax } from "../graph/operators/reduction.ts";
import { type Dim, PER_EXAMPLE, product } from "../graph/shape.ts";
import { constant, type Tensor } from "../graph/tensor.ts";

/** Added to the score of a position that must not be seen. */
const HIDDEN = -1e9;

/** Features of the prompt `[L, P, W]`, if there is one, and of the texts `[B, T, W]`. */
export interface Parts {
  readonly prompt?: Tensor;
  readonly texts: Tensor;
}

/**
 * What every query sees, weighted by softmax(q·k/√d) (Vaswani et al. 2017, equation 1).
 * @param query `[B, Q, H·d]`
 * @param key of the prompt and the texts; likewise `value`
 * @param mask what to add to the scores between a text's own positions, `[…, Q, T]`
 * @returns `[B, Q, H·d]`
 */
export function attend(query: Tensor, key: Parts, value: Parts, mask: Tensor, heads: number): Tensor {
  const q = splitHeads(query, heads);
  const scaled = mul(q, 1 / Math.sqrt(q.shape[3] as number));
  const scores = add(matmul(scaled, swapLast(splitHeads(key.texts, heads))), mask);
  const values = splitHeads(value.texts, heads);
  if (!key.prompt || !value.prompt) return mergeHeads(matmul(softmax(scores), values));

  const toPrompt = timesShared(scaled, swapLast(splitHeads(key.prompt, heads)));
  const weights = softmax(concat([toPrompt, scores], -1));
  const [onPrompt, onTexts] = split(weights, -1, [key.prompt.shape[1]!, key.texts.shape[1]!]);
  const seen = timesShared(onPrompt!, splitHeads(value.prompt, heads));
  return mergeHeads(add(seen, matmul(onTexts!, values)));
}

/**
 * `[H, B, Q, X] × [H, L, X, Y]`. Shared by the batch (L = 1) it is one product a head, in which the gradient of the
 * right side is summed over the batch; per example it stays batched, and so does its gradient.
 */
function timesShared(left: Tensor, right: Tensor): Tensor {
  const [heads, rows, queries, inner] = left.shape as readonly [Dim, Dim, Dim, Dim];
  const [, lead, , columns] = right.shape as readonly [Dim, Dim, Dim, Dim];
  if (lead === PER_EXAMPLE) return matmul(left, right);
  const folded = reshape(left, [heads, product([rows, queries]), inner]);
  return reshape(matmul(folded, reshape(right, [heads, inner, columns])), [heads, rows, queries, columns]);
}

/** `[N, Q, H·d]` → `[H, N, Q, d]` */
function splitHeads(x: Tensor, heads: number): Tensor {
  const [rows, length, width] = x.shape as readonly [Dim, Dim, number];
  return transpose(reshape(x, [rows, length, heads, width / heads]), [2, 0, 1, 3]);
}

/** `[H, N, Q, d]` → `[N, Q, H·d]` */
function mergeHeads(x: Tensor): Tensor {
  const [heads, rows, length, size] = x.shape as readonly [number, Dim, Dim, number];
  return reshape(transpose(x, [1, 2, 0, 3]), [rows, length, heads * size]);
}

/** The mask `[N, N]` that hides later positions. */
export function causalMask(length: Dim): Tensor {
  const positions = range(0, length);
  return hideUnless(lessOrEqual(positions, reshape(positions, [length, 1])));
}

/** The mask `[B, 1, T]` that hides what is after the last position of every text, int64 `[B]`. */
export function lastMask(last: Tensor, length: Dim): Tensor {
  const rows = last.shape[0]!;
  const seen = lessOrEqual(range(0, length), reshape(last, [rows, 1]));
  return reshape(hideUnless(seen), [rows, 1, length]);
}

function hideUnless(seen: Tensor): Tensor {
  return where(seen, constant(0), constant(HIDDEN));
}
