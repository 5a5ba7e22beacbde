import { z } from "zod";
import { add, mul } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { linear } from "../graph/operators/matrix.ts";
import { rmsNorm } from "../graph/operators/normalisation.ts";
import type { Tensor } from "../graph/tensor.ts";
import { activation, activationField } from "./activation.ts";
import type { Family, Model, ModelConfig, ParameterShapes, Parameters, Precision } from "./model.ts";
import { type Rope, ropeSchema, rotation } from "./rotary.ts";

const size = z.int().positive();

/** More than any text that fits in memory; what a config.json says is not to size the tables of the rotation. */
const MOST_POSITIONS = 2 ** 22;
const layerTypes = z.array(z.enum(["full_attention", "sliding_attention"]));

/** The fields of a Llama-like config.json that change what the model computes. What softpost can't compute is refused. */
const schema = z.object({
  model_type: z.enum(["llama", "mistral", "qwen2", "qwen3", "smollm3"]),
  num_hidden_layers: size,
  hidden_size: size,
  intermediate_size: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.multipleOf(2).nullish(),
  vocab_size: size,
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: activationField.default("silu"),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: size.nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: layerTypes.nullish(),
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
  no_rope_layer_interval: size.default(4),
});

interface LlamaConfig extends ModelConfig {
  /** Dimensions d of a head. */
  readonly size: number;
  readonly inner: number;
  readonly epsilon: number;
  readonly act: z.infer<typeof activationField>;
  readonly rope: Rope;
  /** Which layers turn their queries and keys. */
  readonly rotated: readonly boolean[];
  readonly tied: boolean;
  readonly biases: { readonly input: boolean; readonly output: boolean; readonly inner: boolean };
  /** Queries and keys are normed, head by head. */
  readonly headNorms: boolean;
}

/** Llama (Touvron et al. 2023) and what differs from it by biases, head norms or layers without rotation. */
export const llama: Family<LlamaConfig> = {
  name: "llama",

  configure(json) {
    const config = schema.parse(json);
    const type = config.model_type;
    const heads = config.num_attention_heads;
    const layers = config.num_hidden_layers;
    const nope = type === "smollm3" ? (config.no_rope_layers ?? everyOther(layers, config.no_rope_layer_interval)) : [];
    const shape = z
      .object({
        keyHeads: z.int().refine((count) => heads % count === 0, `must divide num_attention_heads, ${heads}`),
        size: z.int("hidden_size must be a multiple of num_attention_heads where head_dim is not given").multipleOf(2),
      })
      .parse({
        keyHeads: config.num_key_value_heads ?? heads,
        size: config.head_dim ?? config.hidden_size / heads,
      });
    const attentionBias = config.attention_bias ?? false;
    return {
      ...shape,
      layers,
      heads,
      width: config.hidden_size,
      vocabulary: config.vocab_size,
      positions: Math.min(config.max_position_embeddings, slidingWindow(config) ?? MOST_POSITIONS, MOST_POSITIONS),
      inner: config.intermediate_size,
      epsilon: config.rms_norm_eps,
      act: config.hidden_act,
      rope: ropeOf(json as Record<string, unknown>),
      rotated: Array.from({ length: layers }, (_, layer) => nope[layer] !== 0),
      tied: config.tie_word_embeddings ?? false,
      biases: {
        input: type === "qwen2" || (type !== "mistral" && attentionBias),
        output: type !== "qwen2" && type !== "mistral" && attentionBias,
        inner: (type === "llama" || type === "smollm3") && (config.mlp_bias ?? false),
      },
      headNorms: type === "qwen3",
    };
  },

  parameters(config) {
    const { layers, width, vocabulary, inner, heads, keyHeads, size: d, biases } = config;
    const shapes: ParameterShapes = { "model.embed_tokens.weight": [vocabulary, width], "model.norm.weight": [width] };
    if (!config.tied) shapes["lm_head.weight"] = [vocabulary, width];
    for (let layer = 0; layer < layers; layer++) {
      const at = `model.layers.${layer}`;
      for (const [name, outputs, inputs, bias] of [
        ["self_attn.q_proj", heads * d, width, biases.input],
        ["self_attn.k_proj", keyHeads * d, width, biases.input],
        ["self_attn.v_proj", keyHeads * d, width, biases.input],
        ["self_attn.o_proj", width, heads * d, biases.output],
        ["mlp.gate_proj", inner, width, biases.inner],
        ["mlp.up_proj", inner, width, biases.inner],
        ["mlp.down_proj", width, inner, biases.inner],
      ] as const) {
        shapes[`${at}.${name}.weight`] = [outputs, inputs];
        if (bias) shapes[`${at}.${name}.bias`] = [outputs];
      }
      for (const name of ["input_layernorm", "post_attention_layernorm"]) shapes[`${at}.${name}.weight`] = [width];
      if (!config.headNorms) continue;
      for (const name of ["q_norm", "k_norm"]) shapes[`${at}.self_attn.${name}.weight`] = [d];
    }
    return shapes;
  },

  layerOf: (name) => /^(model\.layers\.)(\d+)(\..*)$/.exec(name),

  withLayers(json, layers) {
    const picked = { ...json, num_hidden_layers: layers.length };
    for (const list of ["layer_types", "no_rope_layers"] as const) {
      const values = json[list];
      if (Array.isArray(values)) Object.assign(picked, { [list]: layers.map((layer) => values[layer]) });
    }
    return picked;
  },

  embeddings: ({ tied }) => ["model.embed_tokens.weight", ...(tied ? [] : ["lm_head.weight"])],

  head: () => "lm_head.weight",

  build(config: LlamaConfig, weight: Parameters): Model {
    const { size: d, biases, epsilon } = config;
    const act = activation(config.act);
    const rotate = rotation(config.rope, d, config.positions);
    const norm = (name: string, x: Tensor) => rmsNorm(x, weight(`${name}.weight`), epsilon);
    const project = (name: string, x: Tensor, bias: boolean) =>
      linear(x, weight(`${name}.weight`), { transposed: true, ...(bias && { bias: weight(`${name}.bias`) }) });
    const normHeads = (name: string, x: Tensor) => {
      const heads = reshape(x, [...x.shape.slice(0, -1), (x.shape.at(-1) as number) / d, d]);
      return reshape(norm(name, heads), x.shape);
    };
    return {
      config,
      kind: "causal",
      precision: weight("model.embed_tokens.weight").dtype as Precision,
      tokens: (ids) => cast(gather(weight("model.embed_tokens.weight"), ids), "float32"),
      place: (x) => x,
      heads(layer, x, positions) {
        const at = `model.layers.${layer}`;
        const normed = norm(`${at}.input_layernorm`, x);
        const turned = (name: "q" | "k") => {
          const projected = project(`${at}.self_attn.${name}_proj`, normed, biases.input);
          const heads = config.headNorms ? normHeads(`${at}.self_attn.${name}_norm`, projected) : projected;
          return config.rotated[layer] ? rotate(heads, positions) : heads;
        };
        const value = project(`${at}.self_attn.v_proj`, normed, biases.input);
        return { query: turned("q"), key: turned("k"), value };
      },
      finish(layer, x, context) {
        const at = `model.layers.${layer}`;
        const attended = add(x, project(`${at}.self_attn.o_proj`, context, biases.output));
        const normed = norm(`${at}.post_attention_layernorm`, attended);
        const gate = act(project(`${at}.mlp.gate_proj`, normed, biases.inner));
        const inner = mul(gate, project(`${at}.mlp.up_proj`, normed, biases.inner));
        return add(attended, project(`${at}.mlp.down_proj`, inner, biases.inner));
      },
      finalNorm: (x) => norm("model.norm", x),
      logits(hidden, tokens) {
        const head = weight(config.tied ? "model.embed_tokens.weight" : "lm_head.weight");
        return linear(hidden, tokens ? gather(head, tokens) : head, { transposed: true });
      },
    };
  },
};

/** SmolLM3's default: one layer of so many has no rotation. */
function everyOther(layers: number, interval: number): (0 | 1)[] {
  return Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1));
}

/** Within a sliding window the model is the same as without one, so the window bounds the positions where a layer has it. */
function slidingWindow(config: z.infer<typeof schema>): number | undefined {
  const used = config.use_sliding_window ?? config.model_type === "mistral";
  const somewhere = config.layer_types ? config.layer_types.includes("sliding_attention") : used;
  return somewhere ? (config.sliding_window ?? undefined) : undefined;
}

/** transformers 5 has all of the rotation in one object, older versions the base beside it. */
function ropeOf(json: Readonly<Record<string, unknown>>): Rope {
  const given = (json.rope_parameters ?? json.rope_scaling ?? {}) as Record<string, unknown>;
  const outside = Object.fromEntries(
    ["rope_theta", "partial_rotary_factor"].filter((name) => json[name] != null).map((name) => [name, json[name]]),
  );
  const original = json.original_max_position_embeddings ?? given.original_max_position_embeddings;
  return z.object({ rope_parameters: ropeSchema }).parse({
    rope_parameters: {
      ...outside,
      ...given,
      original_max_position_embeddings: original ?? json.max_position_embeddings,
    },
  }).rope_parameters;
}
