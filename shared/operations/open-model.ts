import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { type Checkpoint, frozenWeights, openCheckpoint } from "../models/checkpoint.ts";
import type { Model, Precision } from "../models/model.ts";
import type { ModelRecord } from "../protocol/manifest.ts";

/** A model that is ready to be used. */
export interface OpenModel {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** What a manifest says of it. */
  readonly record: ModelRecord;
}

/**
 * Opens a model's folder. Headers are read and checked; weights are not.
 * @param identity what the model is called, and the digest of its files (`hashModel`)
 * @param precision of its linear layers and attention
 * @throws ProblemError if it can't be read or computed
 */
export async function openModel(
  folder: string,
  { id, digest }: { readonly id: string; readonly digest: string },
  precision: Precision = "float32",
): Promise<OpenModel> {
  const checkpoint = await openCheckpoint(folder);
  const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, precision));
  const tokenizer = await loadTokenizer(folder);
  return { folder, checkpoint, model, tokenizer, record: { id, digest, architecture: checkpoint.family.name } };
}
