import type { Tensor } from "../graph/tensor.ts";
import type { FamilyName } from "../protocol/manifest.ts";

/** What every family has. */
export interface ModelConfig {
  readonly layers: number;
  /** Width D of the hidden states. */
  readonly width: number;
  /** Attention heads H of the queries. */
  readonly heads: number;
  /** Attention heads K of keys and values; each serves H / K queries' heads. */
  readonly keyHeads: number;
  readonly vocabulary: number;
  /** Longest input in tokens, the soft prompt included. */
  readonly positions: number;
}

/** Query `[…, H·d]`, key and value `[…, K·d]` of a layer. */
export interface Heads {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * A transformer's parts, as functions on hidden states `[…, D]` of any rank; positions are int32 tensors, counted from 0, that
 * broadcast to `[…]`. How the parts are put together is in causal.ts and masked.ts.
 */
export interface Model {
  readonly config: ModelConfig;
  /** What its linear layers and its attention compute in; all else is float32. */
  readonly precision: Precision;
  /** The same one for decoding, where products may round; there is no gradient of it. Without it, this one decodes. */
  readonly decoding?: Model;
  /** Causal: a position sees what is before it, and the last one is read. Masked: it sees all, and the mask's is read. */
  readonly kind: "causal" | "masked";
  /** Token embeddings `[…, D]` of ids `[…]`: what a soft prompt's rows are like. */
  tokens(ids: Tensor): Tensor;
  /** Hidden states of the first layer, from embeddings. */
  place(x: Tensor, positions: Tensor): Tensor;
  /** What a layer's attention works on. */
  heads(layer: number, x: Tensor, positions: Tensor): Heads;
  /** The rest of a layer after its attention, whose result is `context`, `[…, H·d]`: residuals and feed-forward. */
  finish(layer: number, x: Tensor, context: Tensor): Tensor;
  finalNorm(x: Tensor): Tensor;
  /** Logits of final hidden states: of the whole vocabulary `[…, V]`, or of some tokens (int64 `[n]`) `[…, n]`. */
  logits(hidden: Tensor, tokens?: Tensor): Tensor;
}

export type Precision = "float32" | "float16";

/** A model's weights by their names in the checkpoint. */
export type Parameters = (name: string) => Tensor;

/** The shape of every weight. */
export type ParameterShapes = Record<string, readonly number[]>;

/** A family of models: how its checkpoints are read, and how it computes. */
export interface Family<Config extends ModelConfig = ModelConfig> {
  /** What manifests and catalogues call it. */
  readonly name: FamilyName;
  /** Reads config.json. @throws ZodError for what the family can't be or softpost can't compute */
  configure(json: unknown): Config;
  /** The weights that a checkpoint must have. */
  parameters(config: Config): ParameterShapes;
  /** Whether the matrices of layers are `[inputs, outputs]` in a checkpoint; `[outputs, inputs]` otherwise. */
  readonly inputsFirst: boolean;
  /** Splits the name of a layer's weight into what is before its index, the index, and what is after; null for others. */
  layerOf(name: string): readonly (string | undefined)[] | null;
  /** config.json of a model that has some of the layers only. */
  withLayers(json: Readonly<Record<string, unknown>>, layers: readonly number[]): Record<string, unknown>;
  /**
   * Weights that a student copies from its teacher and never trains: the embeddings and the head. The token embeddings come
   * first.
   */
  embeddings(config: Config): readonly string[];
  /** The name of a head of its own; where it is tied to the token embeddings, a checkpoint may have them under this name. */
  head(config: Config): string;
  build(config: Config, weight: Parameters): Model;
}
