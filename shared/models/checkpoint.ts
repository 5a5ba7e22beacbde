import { join } from "node:path";
import { isFloatDtype } from "../prompt/dtype.ts";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { Quantisation } from "../protocol/weights.ts";
import { type ConfiguredModel, configureModel } from "./configure.ts";
import type { Family, ModelConfig } from "./model.ts";
import { PARTS } from "./narrow-matrix.ts";
import { locateQuantised, QUANTISATION_FILE, readQuantisedRecord, type StoredMatrix } from "./quantised-files.ts";
import { findWeights, type LocatedWeight, readJson, sameValues, TITLE } from "./weight-files.ts";

/** Buffers that follow from the config, and parts of other tasks that every checkpoint of a kind has. */
const NEVER_USED =
  /(^|\.)(position_ids|rotary_emb\.inv_freq|attn\.(masked_)?bias|(pooler\.dense|seq_relationship)\.(weight|bias))$/;
/** Names in a message; the rest is counted. */
const MOST_NAMED = 5;

/** A model folder that was opened and checked: what it is, and where its weights lie. */
export interface Checkpoint {
  readonly folder: string;
  readonly family: Family;
  readonly config: ModelConfig;
  /** config.json as it is, but for `tie_word_embeddings` where the weights say otherwise. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Where every weight of the family lies, by the family's name for it; in a folder of narrow weights, the others. */
  readonly weights: ReadonlyMap<string, LocatedWeight>;
  /** Where matrices lie that are to be used narrow. */
  readonly narrow: ReadonlyMap<string, StoredMatrix>;
  /** What was done to them; null where that is nothing. */
  readonly quantisation: Quantisation | null;
  /** What the user should know about the weights. */
  readonly notes: readonly string[];
}

/**
 * Opens a Hugging Face model folder: config.json and model.safetensors, or its shards with their index. Headers are
 * read and every weight's place, type and shape is checked. Of the weights themselves only those are read, to be compared, that
 * are there twice, or that the config says are equal to others: a head that isn't is used, as transformers 5 does.
 * @throws ProblemError naming the file and the field or tensor at fault, all of them together
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const given = await readJson(join(folder, "config.json"));
  const { found, notes } = await findWeights(folder);
  const configured = configureModel(given, join(folder, "config.json"));
  const own = await hasOwnHead(configured, found);
  const json = own ? { ...given, tie_word_embeddings: false } : given;
  const { family, config } = own ? configureModel(json, folder) : configured;

  const faults: Fault[] = [];
  const weights = new Map<string, LocatedWeight>();
  const quantisation = (await readQuantisedRecord(folder))?.quantisation ?? null;
  const narrow: ReadonlyMap<string, StoredMatrix> = quantisation
    ? await locateQuantised(folder, family, config, quantisation)
    : new Map();
  const used = new Set(
    [...narrow.keys()].flatMap((name) => [name, ...Object.values(PARTS).map((part) => name + part)]),
  );
  const shapes = family.parameters(config);
  const [embedding] = family.embeddings(config);
  const head = family.head(config);
  for (const [name, shape] of Object.entries(shapes)) {
    if (narrow.has(name)) continue;
    const tied = name === embedding && !(head in shapes);
    const same = [...new Set(otherNames(name))].filter((other) => found.has(other));
    const there = [...decoderBias(name), ...same, ...(own ? tiedBias(name) : []), ...(tied ? [head] : [])];
    const weight = there.map((other) => found.get(other)).find(Boolean);
    for (const other of there) used.add(other);
    if (!weight && found.has(name + PARTS.values))
      faults.push({ at: name, message: `is quantised, and there is no ${QUANTISATION_FILE} that says how` });
    else if (!weight) faults.push({ at: name, message: "is missing" });
    else if (!isFloatDtype(weight.dtype))
      faults.push({ at: name, message: `has dtype ${weight.dtype}; F32, F16 or BF16 can be used` });
    else if (weight.shape.join() !== shape.join()) {
      faults.push({
        at: name,
        message: `has shape [${weight.shape.join(", ")}]; config.json says [${shape.join(", ")}]`,
      });
    } else weights.set(name, weight);
    const [first, twin] = same;
    if (twin !== undefined && !(await sameValues(found.get(first!)!, found.get(twin)!)))
      faults.push({ at: name, message: `is there as ${quote(first!)} and as ${quote(twin)}, with other values` });
  }
  if (faults.length > 0) {
    throw new ProblemError(TITLE, `the weights in ${folder} do not fit its config.json`, { status: 422, faults });
  }
  const unused = [...found.keys()].filter((name) => !used.has(name) && !NEVER_USED.test(name));
  return {
    folder,
    family,
    config,
    json,
    weights,
    narrow,
    quantisation,
    notes: [...notes, ...headNotes(folder, own), ...unusedNotes(folder, unused)],
  };
}

/** Whether a head that the config says is the embedding is another matrix. */
async function hasOwnHead(
  { family, config }: ConfiguredModel,
  found: ReadonlyMap<string, LocatedWeight>,
): Promise<boolean> {
  const head = family.head(config);
  const embedding = otherNames(family.embeddings(config)[0]!).find((name) => found.has(name));
  if (head in family.parameters(config) || !found.has(head) || embedding === undefined) return false;
  return !(await sameValues(found.get(head)!, found.get(embedding)!));
}

function headNotes(folder: string, own: boolean): string[] {
  if (!own) return [];
  return [
    `${folder}: the head is not the embedding, though config.json says so (tie_word_embeddings). It is used as it is.`,
  ];
}

function unusedNotes(folder: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const some = names.slice(0, MOST_NAMED).map(quote).join(", ");
  const more = names.length > MOST_NAMED ? `, … (${names.length})` : "";
  return [`${folder} has weights that the model doesn't use: ${some}${more}.`];
}

/**
 * What a weight may be called: base checkpoints on the hub leave out the prefix that language-model classes add, and BERT's
 * first ones have TensorFlow's words for the norms.
 */
function otherNames(name: string): string[] {
  const bare = name.slice(name.indexOf(".") + 1);
  const old = name.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta");
  return [name, bare, old];
}

/**
 * RoBERTa's and BERT's heads have their bias under two names, of which the first is computed with.
 *
 * @returns the first one's name for the second's, as transformers ties them
 */
function decoderBias(name: string): string[] {
  const [, head] = /^(lm_head|cls\.predictions)\.bias$/.exec(name) ?? [];
  return head === undefined ? [] : [`${head}.decoder.bias`];
}

/** @returns the second one's name for the first's */
function tiedBias(name: string): string[] {
  const [, head] = /^(lm_head|cls\.predictions)\.decoder\.bias$/.exec(name) ?? [];
  return head === undefined ? [] : [`${head}.bias`];
}
