import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { type Checkpoint, openCheckpoint } from "../models/checkpoint.ts";
import type { Model, Precision } from "../models/model.ts";
import { frozenWeights } from "../models/weights.ts";
import type { ModelRecord } from "../protocol/manifest.ts";
import { narrowed, type WantedWeights } from "./narrow-weights.ts";

/** A model that is ready to be used. */
export interface OpenModel {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** What messages call it: a user's own name for it, which goes no further. */
  readonly name: string;
  /** What a manifest says of it. */
  readonly record: ModelRecord;
}

/** How a model is to be used. */
export interface Opening {
  /** Of its linear layers and attention. */
  readonly precision?: Precision | undefined;
  /** The form that its matrices are held in; as they lie in the folder without it. */
  readonly wanted?: WantedWeights | undefined;
}

/**
 * Opens a model's folder. Headers are read and checked; weights are not, unless they are to be made narrow.
 * @param identity what manifests call the model, and the digest of its files (`hashModel`); `name` is what messages call it, if that is something else
 * @throws ProblemError if it can't be read or computed
 */
export async function openModel(
  folder: string,
  { id, digest, name = id }: { readonly id: string; readonly digest: string; readonly name?: string },
  { precision = "float32", wanted }: Opening = {},
): Promise<OpenModel> {
  const opened = await openCheckpoint(folder);
  const checkpoint = wanted ? await narrowed(opened, digest, wanted) : opened;
  const { family, config, quantisation } = checkpoint;
  const exact = family.build(config, frozenWeights(checkpoint, precision));
  const rounding = () => family.build(config, frozenWeights(checkpoint, precision, { product: "rounded" }));
  const inBlocks = quantisation !== null && quantisation.weights !== "fp16";
  const model = inBlocks ? { ...exact, decoding: rounding() } : exact;
  const tokenizer = await loadTokenizer(folder);
  const record = { id, digest, architecture: family.name, ...(quantisation && { quantisation }) };
  return { folder, name, checkpoint, model, tokenizer, record };
}
