import { apply, integers, type Operator, type Tensor } from "../tensor.ts";
import { concat, reshape, shapeOf, split, zeros } from "./layout.ts";

const groupQueryAttention: Operator = {
  type: "GroupQueryAttention",
  domain: "com.microsoft",
  infer: ([query, , , pastKey, pastValue]) => [query!, pastKey!, pastValue!],
};

/** The operator takes heads of a multiple of so many dimensions. */
const SIZE_MULTIPLE = 8;

/** Dimensions of a kept head of `size` dimensions: zeros fill it up. */
export function keptSize(size: number): number {
  return Math.ceil(size / SIZE_MULTIPLE) * SIZE_MULTIPLE;
}

/** Keys or values that are kept, `[R, K, M, keptSize(d)]`: of each of R rows, M positions of which the first are filled. */
export interface Kept {
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * Causal attention of R rows' next S positions to themselves and to what is kept of the positions before, which they are added to.
 * ONNX Runtime's own operator: where `key` and `value` of the result are written over what was kept (`Update.inPlace`), only the new
 * positions are written; the standard's Attention copies all of it at every step. If S is not 1, R is 1 or nothing was kept.
 * @param query `[R, S, H·d]`; `key` and `value` `[R, S, K·d]`
 * @param last the index of each row's last position when these are added, int32 `[R]`
 * @param total one more than the largest of them, int32 scalar
 * @returns `context` `[R, S, H·d]`, and what is kept from now on
 */
export function cachedAttention(
  { query, key, value }: { readonly query: Tensor; readonly key: Tensor; readonly value: Tensor },
  kept: Kept,
  { last, total }: { readonly last: Tensor; readonly total: Tensor },
  { heads, keyHeads }: { readonly heads: number; readonly keyHeads: number },
): { readonly context: Tensor; readonly kept: Kept } {
  const size = (query.shape[2] as number) / heads;
  const features = [fill(query, size), fill(key, size), fill(value, size)];
  const [context, nextKey, nextValue] = apply(groupQueryAttention, [...features, kept.key, kept.value, last, total], {
    num_heads: heads,
    kv_num_heads: keyHeads,
    scale: 1 / Math.sqrt(size),
  });
  return { context: unfill(context!, size), kept: { key: nextKey!, value: nextValue! } };
}

/** Heads with zeros behind them, which change no product: `[R, S, N·d]` → `[R, S, N·keptSize(d)]`. */
function fill(x: Tensor, size: number): Tensor {
  const rest = keptSize(size) - size;
  if (rest === 0) return x;
  const [rows, length, width] = x.shape as readonly [string, string, number];
  const heads = reshape(x, [rows, length, width / size, size]);
  const none = zeros(concat([shapeOf(heads, 0, 3), integers([rest])], 0), [rows, length, width / size, rest]);
  return reshape(concat([heads, none], 3), [rows, length, (width / size) * (size + rest)]);
}

/** Heads without those zeros. */
function unfill(x: Tensor, size: number): Tensor {
  const filled = keptSize(size);
  if (filled === size) return x;
  const [rows, length, width] = x.shape as readonly [string, string, number];
  const [heads] = split(reshape(x, [rows, length, width / filled, filled]), 3, [size, filled - size]);
  return reshape(heads!, [rows, length, (width / filled) * size]);
}
