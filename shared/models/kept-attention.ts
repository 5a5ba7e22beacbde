/** Attention of new positions to themselves and to the keys and values that are kept of the positions before them. */
import { add, lessOrEqual, mul, where } from "../graph/operators/elementwise.ts";
import { cast, concat, range, reshape, split, transpose } from "../graph/operators/layout.ts";
import { matmul, swapLast } from "../graph/operators/matrix.ts";
import { softmax } from "../graph/operators/softmax.ts";
import { type Dim, product } from "../graph/shape.ts";
import { constant, integers, type Tensor } from "../graph/tensor.ts";
import { causalMask, HIDDEN } from "./attention.ts";
import type { Heads, ModelConfig } from "./model.ts";

/** A layer's keys and values of R rows, `[R, K, M, d]` each. */
export interface Kept {
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * What R rows' S new positions see, weighted by softmax(q·k/√d). The kept keys are read where they lie; which of them are a row's own is
 * said by a mask, so that rows of different lengths share a product.
 * @param heads query `[R, S, H·d]`, key and value `[R, S, K·d]`
 * @param past how many of the kept positions are filled, int32 `[R]`
 * @returns `context` `[R, S, H·d]`, and the new keys and values as they are kept, `[R, K, S, d]`
 */
export function attendKept(
  { query, key, value }: Heads,
  kept: Kept,
  past: Tensor,
  { heads, keyHeads }: ModelConfig,
): { readonly context: Tensor; readonly added: Kept } {
  const [rows, length, width] = query.shape as readonly [Dim, Dim, number];
  const [groups, size] = [heads / keyHeads, width / heads];
  const room = kept.key.shape[2]!;
  const flat = [rows, keyHeads, product([length, groups])] as const;
  const wide = (x: Tensor) => byHeads(cast(x, "float32"), keyHeads);
  const added = { key: wide(key), value: wide(value) };
  const scaled = mul(reshape(wide(query), [...flat, size]), 1 / Math.sqrt(size));

  const before = add(matmul(scaled, swapLast(kept.key)), keptMask(past, room));
  const grouped = reshape(matmul(scaled, swapLast(added.key)), [rows, keyHeads, length, groups, length]);
  const own = reshape(add(grouped, causalMask(length)), [...flat, length]);
  const weights = softmax(concat([before, own], -1));
  const [onKept, onOwn] = split(weights, -1, [room, length]);
  const context = add(matmul(onKept!, kept.value), matmul(onOwn!, added.value));
  const merged = transpose(reshape(context, [rows, keyHeads, length, groups * size]), [0, 2, 1, 3]);
  return { context: reshape(merged, [rows, length, width]), added };
}

/** `[R, S, K·w]` → `[R, K, S, w]` */
function byHeads(x: Tensor, heads: number): Tensor {
  const [rows, length, width] = x.shape as readonly [Dim, Dim, number];
  return transpose(reshape(x, [rows, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** The mask `[R, 1, 1, M]` that hides what isn't filled. */
function keptMask(past: Tensor, room: Dim): Tensor {
  const last = add(reshape(past, [past.shape[0]!, 1, 1, 1]), integers(-1, "int32"));
  return where(lessOrEqual(range(0, room), last), constant(0), constant(HIDDEN));
}
