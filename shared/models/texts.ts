import type { Tensor } from "../graph/tensor.ts";

/** A batch of right-padded texts. */
export interface Texts {
  /** Token ids, int32 `[B, T]`. */
  readonly ids: Tensor;
  /** Number of real tokens in each row, int32 `[B]`, at least 1. */
  readonly lengths: Tensor;
  /** Where a masked model is read, int32 `[B]`; a causal one is read at the last real token. */
  readonly read: Tensor;
}
