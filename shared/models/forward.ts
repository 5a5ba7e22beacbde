import type { Tensor } from "../graph/tensor.ts";
import { allCausal, readCausal } from "./causal.ts";
import { allMasked, readMasked } from "./masked.ts";
import type { Model } from "./model.ts";
import type { Texts } from "./texts.ts";

/**
 * Final hidden states (after the last norm) at the read position of every text, `[B, D]`.
 * @param prompt `[1, P, D]`, or `[PER_EXAMPLE, P, D]` so that its gradient comes out as `[B, P, D]`
 */
export function readHidden(model: Model, texts: Texts, prompt?: Tensor): Tensor {
  return model.kind === "causal" ? readCausal(model, texts, prompt) : readMasked(model, texts, prompt);
}

/** Final hidden states at every position of texts without padding and without a prompt, `[B, T, D]`. */
export function allHidden(model: Model, ids: Tensor): Tensor {
  return model.kind === "causal" ? allCausal(model, ids) : allMasked(model, ids);
}
