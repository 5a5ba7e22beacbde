import { z } from "zod";
import { add } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, split } from "../graph/operators/layout.ts";
import { linear } from "../graph/operators/linear.ts";
import { layerNorm } from "../graph/operators/normalisation.ts";
import type { Tensor } from "../graph/tensor.ts";
import { activation, activationField } from "./activation.ts";
import type { Family, Model, ModelConfig, ParameterShapes, Parameters, Precision } from "./model.ts";

const size = z.int().positive();

/** The fields of a GPT-2 config.json that change what the model computes. What softpost can't compute is refused. */
const schema = z.object({
  model_type: z.literal("gpt2"),
  n_layer: size,
  n_embd: size,
  n_head: size,
  n_positions: size,
  vocab_size: size,
  n_inner: size.nullish(),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  activation_function: activationField.default("gelu_new"),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(true),
});

interface Gpt2Config extends ModelConfig {
  readonly inner: number;
  readonly epsilon: number;
  readonly act: z.infer<typeof activationField>;
  readonly tied: boolean;
}

/** GPT-2 (Radford et al. 2019): learned positions, norms before attention and feed-forward. */
export const gpt2: Family<Gpt2Config> = {
  name: "gpt2",

  configure(json) {
    const config = schema.parse(json);
    return {
      layers: config.n_layer,
      width: config.n_embd,
      heads: config.n_head,
      keyHeads: config.n_head,
      vocabulary: config.vocab_size,
      positions: config.n_positions,
      inner: config.n_inner ?? 4 * config.n_embd,
      epsilon: config.layer_norm_epsilon,
      act: config.activation_function,
      tied: config.tie_word_embeddings,
    };
  },

  parameters({ layers, width, vocabulary, positions, inner, tied }) {
    const shapes: ParameterShapes = {
      "transformer.wte.weight": [vocabulary, width],
      "transformer.wpe.weight": [positions, width],
      "transformer.ln_f.weight": [width],
      "transformer.ln_f.bias": [width],
    };
    if (!tied) shapes["lm_head.weight"] = [vocabulary, width];
    for (let layer = 0; layer < layers; layer++) {
      const at = `transformer.h.${layer}.`;
      for (const norm of ["ln_1", "ln_2"]) {
        shapes[`${at}${norm}.weight`] = [width];
        shapes[`${at}${norm}.bias`] = [width];
      }
      for (const [name, rows, columns] of [
        ["attn.c_attn", width, 3 * width],
        ["attn.c_proj", width, width],
        ["mlp.c_fc", width, inner],
        ["mlp.c_proj", inner, width],
      ] as const) {
        shapes[`${at}${name}.weight`] = [rows, columns];
        shapes[`${at}${name}.bias`] = [columns];
      }
    }
    return shapes;
  },

  inputsFirst: true,

  layerOf: (name) => /^(transformer\.h\.)(\d+)(\..*)$/.exec(name),

  withLayers: (json, layers) => ({ ...json, n_layer: layers.length }),

  embeddings: ({ tied }) => ["transformer.wte.weight", "transformer.wpe.weight", ...(tied ? [] : ["lm_head.weight"])],

  head: () => "lm_head.weight",

  build(config: Gpt2Config, weight: Parameters): Model {
    const act = activation(config.act);
    const norm = (name: string, x: Tensor) =>
      layerNorm(x, weight(`${name}.weight`), weight(`${name}.bias`), config.epsilon);
    const project = (name: string, x: Tensor, asComputed = false) =>
      linear(x, weight(`${name}.weight`), { bias: weight(`${name}.bias`), asComputed });
    return {
      config,
      kind: "causal",
      precision: weight("transformer.wte.weight").dtype as Precision,
      tokens: (ids) => cast(gather(weight("transformer.wte.weight"), ids), "float32"),
      place: (x, positions) => add(x, cast(gather(weight("transformer.wpe.weight"), positions), "float32")),
      heads(layer, x) {
        const at = `transformer.h.${layer}`;
        const all = project(`${at}.attn.c_attn`, norm(`${at}.ln_1`, x), true);
        const [query, key, value] = split(all, -1, [config.width, config.width, config.width]);
        return { query: query!, key: key!, value: value! };
      },
      finish(layer, x, context) {
        const at = `transformer.h.${layer}`;
        const attended = add(x, project(`${at}.attn.c_proj`, context));
        const inner = act(project(`${at}.mlp.c_fc`, norm(`${at}.ln_2`, attended), true));
        return add(attended, project(`${at}.mlp.c_proj`, inner));
      },
      finalNorm: (x) => norm("transformer.ln_f", x),
      logits(hidden, tokens) {
        const head = weight(config.tied ? "transformer.wte.weight" : "lm_head.weight");
        return linear(hidden, tokens ? gather(head, tokens) : head, { transposed: true });
      },
    };
  },
};
