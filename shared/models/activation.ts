import { z } from "zod";
import { gelu, geluTanh, silu } from "../graph/operators/elementwise.ts";
import type { Tensor } from "../graph/tensor.ts";

const ACTIVATIONS = {
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  silu,
  swish: silu,
} as const satisfies Record<string, (x: Tensor) => Tensor>;

/** The field of a config.json that names the feed-forward layers' activation, as transformers calls them. */
export const activationField = z.enum(Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[]);

/** The activation of that name. */
export function activation(name: z.infer<typeof activationField>): (x: Tensor) => Tensor {
  return ACTIVATIONS[name];
}
