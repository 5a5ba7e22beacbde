import { z } from "zod";
import { add, mul } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { linear } from "../graph/operators/linear.ts";
import { rmsNorm } from "../graph/operators/normalisation.ts";
import type { Tensor } from "../graph/tensor.ts";
import { activation, activationField } from "./activation.ts";
import type { Family, Model, ModelConfig, ParameterShapes, Parameters, Precision } from "./model.ts";
import { type Rope, ropeSchema, rotation } from "./rotary.ts";

const size = z.int().positive();

/** More than any text that fits in memory; what a config.json says is not to size the tables of the rotation. */
const MOST_POSITIONS = 2 ** 22;
const layerTypes = z.array(z.enum(["full_attention", "sliding_attention"]));
type LayerType = z.infer<typeof layerTypes>[number];
/** What transformers' configs of Mistral and Qwen have where config.json doesn't say. */
const USUAL_WINDOW = 4096;

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
  max_window_layers: z.int().nonnegative().default(28),
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
    const nope = type === "smollm3" ? noRopeLayers(config) : [];
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

  inputsFirst: false,

  layerOf: (name) => /^(model\.layers\.)(\d+)(\..*)$/.exec(name),

  withLayers(json, layers) {
    const config = schema.parse(json);
    const { model_type: type, layer_types: given } = config;
    const types = given ?? layerTypesOf(config);
    const kept = <T>(values: readonly T[]) => layers.map((layer) => values[layer]);
    // Written out: by its number alone, a layer would be taken for one of another kind.
    const named = given ?? (type !== "mistral" && types.includes("sliding_attention"));
    return {
      ...json,
      num_hidden_layers: layers.length,
      ...(named && { layer_types: kept(types) }),
      ...(type === "smollm3" && { no_rope_layers: kept(noRopeLayers(config)) }),
    };
  },

  embeddings: ({ tied }) => ["model.embed_tokens.weight", ...(tied ? [] : ["lm_head.weight"])],

  head: () => "lm_head.weight",

  build(config: LlamaConfig, weight: Parameters): Model {
    const { size: d, biases, epsilon } = config;
    const act = activation(config.act);
    const rotate = rotation(config.rope, d, config.positions);
    const norm = (name: string, x: Tensor) => rmsNorm(x, weight(`${name}.weight`), epsilon);
    const precision = weight("model.embed_tokens.weight").dtype as Precision;
    const project = (name: string, x: Tensor, bias: boolean, asComputed = false) => {
      const added = bias && { bias: weight(`${name}.bias`) };
      return linear(x, weight(`${name}.weight`), { transposed: true, asComputed, ...added });
    };
    const normHeads = (name: string, x: Tensor) => {
      const heads = reshape(x, [...x.shape.slice(0, -1), (x.shape.at(-1) as number) / d, d]);
      return reshape(norm(name, heads), x.shape);
    };
    return {
      config,
      kind: "causal",
      precision,
      tokens: (ids) => cast(gather(weight("model.embed_tokens.weight"), ids), "float32"),
      place: (x) => x,
      heads(layer, x, positions) {
        const at = `model.layers.${layer}`;
        const normed = cast(norm(`${at}.input_layernorm`, x), precision);
        const turned = (name: "q" | "k") => {
          const projected = project(`${at}.self_attn.${name}_proj`, normed, biases.input);
          const heads = config.headNorms ? normHeads(`${at}.self_attn.${name}_norm`, projected) : projected;
          return config.rotated[layer] ? rotate(heads, positions) : heads;
        };
        const value = project(`${at}.self_attn.v_proj`, normed, biases.input, true);
        return { query: turned("q"), key: turned("k"), value };
      },
      finish(layer, x, context) {
        const at = `model.layers.${layer}`;
        const attended = add(x, project(`${at}.self_attn.o_proj`, context, biases.output));
        const normed = cast(norm(`${at}.post_attention_layernorm`, attended), precision);
        const gate = act(project(`${at}.mlp.gate_proj`, normed, biases.inner, true));
        const inner = mul(gate, project(`${at}.mlp.up_proj`, normed, biases.inner, true));
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

/** Which of SmolLM3's layers have a rotation (1) and which have none (0); by default one of so many has none. */
function noRopeLayers({
  num_hidden_layers: layers,
  no_rope_layers: given,
  no_rope_layer_interval: interval,
}: z.infer<typeof schema>): (0 | 1)[] {
  return given ?? Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1));
}

/** How far a layer with a sliding window sees; within it the model is the same as without one, so it bounds the positions. */
function slidingWindow(config: z.infer<typeof schema>): number | undefined {
  if (!layerTypesOf(config).includes("sliding_attention")) return undefined;
  return windowOf(config) ?? undefined;
}

function windowOf({ model_type: type, sliding_window: window }: z.infer<typeof schema>): number | null | undefined {
  return window === undefined && type !== "smollm3" && type !== "llama" ? USUAL_WINDOW : window;
}

/** Which layers have the window, as transformers' configs of each type say. */
function layerTypesOf(config: z.infer<typeof schema>): LayerType[] {
  const { model_type: type, num_hidden_layers: layers, layer_types: given } = config;
  const used = windowOf(config) != null && (type === "mistral" || config.use_sliding_window === true);
  const nope = noRopeLayers(config);
  const slides: Record<typeof type, (layer: number) => boolean> = {
    llama: () => false,
    mistral: () => used,
    qwen2: (layer) => used && layer >= config.max_window_layers,
    qwen3: (layer) => used && layer >= config.max_window_layers,
    smollm3: (layer) => used && nope[layer] === 0,
  };
  const own = type === "llama" || type === "mistral" ? undefined : given;
  return own ?? Array.from({ length: layers }, (_, i) => (slides[type](i) ? "sliding_attention" : "full_attention"));
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
