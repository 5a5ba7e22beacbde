import { z } from "zod";
import { add } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { linear } from "../graph/operators/linear.ts";
import { layerNorm } from "../graph/operators/normalisation.ts";
import { integers, type Tensor } from "../graph/tensor.ts";
import { activation, activationField } from "./activation.ts";
import type { Family, Model, ModelConfig, ParameterShapes, Parameters, Precision } from "./model.ts";

const size = z.int().positive();

/** The fields of a RoBERTa or BERT config.json that change what the model computes. What softpost can't compute is refused. */
const schema = z.object({
  model_type: z.enum(["roberta", "xlm-roberta", "bert"]),
  num_hidden_layers: size,
  hidden_size: size,
  intermediate_size: size,
  num_attention_heads: size,
  vocab_size: size,
  max_position_embeddings: size,
  type_vocab_size: size,
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: activationField.default("gelu"),
  pad_token_id: z.int().nonnegative().nullish(),
  position_embedding_type: z.literal("absolute").nullish(),
  is_decoder: z.literal(false).nullish(),
  add_cross_attention: z.literal(false).nullish(),
  tie_word_embeddings: z.boolean().nullish(),
});

/** What the weights outside of the encoder are called. */
interface Names {
  readonly body: "roberta" | "bert";
  /** The head's dense layer and its norm. */
  readonly dense: string;
  readonly norm: string;
  /** The head's matrix if that is not the embedding, with its bias; and the bias of a tied one. */
  readonly decoder: string;
  readonly bias: string;
}

const ROBERTA: Names = {
  body: "roberta",
  dense: "lm_head.dense",
  norm: "lm_head.layer_norm",
  decoder: "lm_head.decoder",
  bias: "lm_head.bias",
};
const BERT: Names = {
  body: "bert",
  dense: "cls.predictions.transform.dense",
  norm: "cls.predictions.transform.LayerNorm",
  decoder: "cls.predictions.decoder",
  bias: "cls.predictions.bias",
};

interface RobertaConfig extends ModelConfig {
  readonly names: Names;
  readonly inner: number;
  readonly types: number;
  readonly epsilon: number;
  readonly act: z.infer<typeof activationField>;
  /** The row of the position embeddings for the first position: RoBERTa's come after the padding's. */
  readonly firstPosition: number;
  readonly tied: boolean;
}

/** RoBERTa (Liu et al. 2019) and BERT (Devlin et al. 2019): norms after each part of a layer, a head with a layer of its own. */
export const roberta: Family<RobertaConfig> = {
  name: "roberta",

  configure(json) {
    const config = schema.parse(json);
    const isBert = config.model_type === "bert";
    const firstPosition = isBert ? 0 : (config.pad_token_id ?? 1) + 1;
    const heads = z
      .int()
      .refine((count) => config.hidden_size % count === 0, "must divide hidden_size")
      .parse(config.num_attention_heads);
    return {
      heads,
      keyHeads: heads,
      layers: config.num_hidden_layers,
      width: config.hidden_size,
      vocabulary: config.vocab_size,
      positions: config.max_position_embeddings - firstPosition,
      names: isBert ? BERT : ROBERTA,
      inner: config.intermediate_size,
      types: config.type_vocab_size,
      epsilon: config.layer_norm_eps,
      act: config.hidden_act,
      firstPosition,
      tied: config.tie_word_embeddings ?? true,
    };
  },

  parameters(config) {
    const { layers, width, inner, vocabulary, names } = config;
    const shapes: ParameterShapes = {};
    const dense = (name: string, outputs: number, inputs: number) => {
      shapes[`${name}.weight`] = [outputs, inputs];
      shapes[`${name}.bias`] = [outputs];
    };
    const norm = (name: string) => {
      shapes[`${name}.weight`] = [width];
      shapes[`${name}.bias`] = [width];
    };
    const embeddings = `${names.body}.embeddings`;
    shapes[`${embeddings}.word_embeddings.weight`] = [vocabulary, width];
    shapes[`${embeddings}.position_embeddings.weight`] = [config.positions + config.firstPosition, width];
    shapes[`${embeddings}.token_type_embeddings.weight`] = [config.types, width];
    norm(`${embeddings}.LayerNorm`);
    for (let layer = 0; layer < layers; layer++) {
      const at = `${names.body}.encoder.layer.${layer}`;
      for (const name of ["query", "key", "value"]) dense(`${at}.attention.self.${name}`, width, width);
      dense(`${at}.attention.output.dense`, width, width);
      norm(`${at}.attention.output.LayerNorm`);
      dense(`${at}.intermediate.dense`, inner, width);
      dense(`${at}.output.dense`, width, inner);
      norm(`${at}.output.LayerNorm`);
    }
    dense(names.dense, width, width);
    norm(names.norm);
    if (config.tied) shapes[names.bias] = [vocabulary];
    else dense(names.decoder, vocabulary, width);
    return shapes;
  },

  inputsFirst: false,

  layerOf: (name) => /^((?:roberta|bert)\.encoder\.layer\.)(\d+)(\..*)$/.exec(name),

  withLayers: (json, layers) => ({ ...json, num_hidden_layers: layers.length }),

  embeddings(config) {
    const all = Object.keys(roberta.parameters({ ...config, layers: 0 }));
    const tokens = `${config.names.body}.embeddings.word_embeddings.weight`;
    return [tokens, ...all.filter((name) => name !== tokens)];
  },

  head: ({ names }) => `${names.decoder}.weight`,

  build(config: RobertaConfig, weight: Parameters): Model {
    const { names } = config;
    const embeddings = `${names.body}.embeddings`;
    const act = activation(config.act);
    const words = weight(`${embeddings}.word_embeddings.weight`);
    const norm = (name: string, x: Tensor) =>
      layerNorm(x, weight(`${name}.weight`), weight(`${name}.bias`), config.epsilon);
    const project = (name: string, x: Tensor, asComputed = false) =>
      linear(x, weight(`${name}.weight`), { transposed: true, bias: weight(`${name}.bias`), asComputed });
    const row = (table: string, indices: Tensor) =>
      cast(gather(weight(`${embeddings}.${table}_embeddings.weight`), indices), "float32");
    return {
      config,
      kind: "masked",
      precision: words.dtype as Precision,
      tokens: (ids) => cast(gather(words, ids), "float32"),
      place(x, positions) {
        const rows = add(positions, integers(config.firstPosition, "int32"));
        const placed = add(x, row("position", rows));
        return norm(`${embeddings}.LayerNorm`, add(placed, row("token_type", integers([0]))));
      },
      heads(layer, x) {
        const at = `${names.body}.encoder.layer.${layer}.attention.self`;
        const narrow = cast(x, words.dtype);
        const [query, key, value] = ["query", "key", "value"].map((name) => project(`${at}.${name}`, narrow, true));
        return { query: query!, key: key!, value: value! };
      },
      finish(layer, x, context) {
        const at = `${names.body}.encoder.layer.${layer}`;
        const seen = project(`${at}.attention.output.dense`, context);
        const attended = norm(`${at}.attention.output.LayerNorm`, add(seen, x));
        const inner = act(project(`${at}.intermediate.dense`, attended, true));
        return norm(`${at}.output.LayerNorm`, add(project(`${at}.output.dense`, inner), attended));
      },
      finalNorm: (x) => x,
      logits(hidden, tokens) {
        const turned = norm(names.norm, act(project(names.dense, hidden)));
        const head = config.tied ? words : weight(`${names.decoder}.weight`);
        const bias = weight(config.tied ? names.bias : `${names.decoder}.bias`);
        if (!tokens) return linear(turned, head, { transposed: true, bias });
        const rows = tokens.shape[0]!;
        return linear(turned, gather(head, tokens), { transposed: true, bias: reshape(gather(bias, tokens), [rows]) });
      },
    };
  },
};
