import type { Tensor } from "../graph/tensor.ts";

/** What every family has. */
export interface ModelConfig {
  readonly layers: number;
  /** Width D of the hidden states. */
  readonly width: number;
  /** Attention heads H. */
  readonly heads: number;
  readonly vocabulary: number;
  /** Longest input in tokens, the soft prompt included. */
  readonly positions: number;
}

/** Query, key and value of a layer, `[…, H·d]` each. */
export interface Heads {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** A causal family's parts, as functions on hidden states `[…, D]` of any rank. How they are put together is in causal.ts. */
export interface Model {
  readonly config: ModelConfig;
  /** Token embeddings `[…, D]` of ids `[…]`. */
  tokens(ids: Tensor): Tensor;
  /** Marks x `[…, N, D]` as the positions from `start` on. */
  place(x: Tensor, start: number): Tensor;
  /** What a layer's attention works on. */
  heads(layer: number, x: Tensor): Heads;
  /** The rest of a layer after its attention, whose result is `context`, `[…, H·d]`: residuals and feed-forward. */
  finish(layer: number, x: Tensor, context: Tensor): Tensor;
  finalNorm(x: Tensor): Tensor;
  /** Logits of final hidden states: of the whole vocabulary `[…, V]`, or of some tokens (int64 `[n]`) `[…, n]`. */
  logits(hidden: Tensor, tokens?: Tensor): Tensor;
}

/** A model's float32 weights by their names in the checkpoint. */
export type Parameters = (name: string) => Tensor;

/** The shape of every weight. */
export type ParameterShapes = Record<string, readonly number[]>;

/** A family of models: how its checkpoints are read, and how it computes. */
export interface Family<Config extends ModelConfig = ModelConfig> {
  /** Reads config.json. @throws ZodError for what the family can't be or softpost can't compute */
  configure(json: unknown): Config;
  /** The weights that a checkpoint must have. */
  parameters(config: Config): ParameterShapes;
  /** Splits the name of a layer's weight into what is before its index, the index, and what is after; null for others. */
  layerOf(name: string): readonly (string | undefined)[] | null;
  /** config.json of a model that differs in its number of layers only. */
  withLayers(json: Readonly<Record<string, unknown>>, layers: number): Record<string, unknown>;
  /** Weights that a student copies from its teacher and never trains: token and position embeddings, and the head. */
  readonly embeddings: readonly string[];
  build(config: Config, weight: Parameters): Model;
}
