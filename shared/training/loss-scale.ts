import { gradients } from "../graph/gradients.ts";
import { mul } from "../graph/operators/elementwise.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";

/** In float16 what is below 6e-8 is 0: the loss goes up by this before the backward pass, and the gradients down behind it. */
const LOSS_SCALE = 1024;

/**
 * Gradients of a loss on a model with respect to prompts, scaled where the model computes in half precision (Micikevicius et
 * al. 2018, section 3.2).
 * @param loss a scalar, float32
 */
export function promptGradients(loss: Tensor, wanted: readonly Tensor[], { precision }: Model): readonly Tensor[] {
  if (precision === "float32") return gradients(loss, wanted);
  return gradients(mul(loss, LOSS_SCALE), wanted).map((gradient) => mul(gradient, 1 / LOSS_SCALE));
}
