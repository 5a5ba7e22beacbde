import { basename } from "node:path";
import { readCorpus } from "../shared/data/corpus.ts";
import { type Encoded, encoder } from "../shared/data/encode.ts";
import { readTask } from "../shared/data/files.ts";
import { resolveModel } from "../shared/data/hub.ts";
import { hubOf, parseHubId } from "../shared/data/hub-address.ts";
import { readExamples, readTexts } from "../shared/data/jsonl.ts";
import { hashModel } from "../shared/data/model-files.ts";
import { type PromptFolder, readPromptFolder, requireFit } from "../shared/data/prompt-folder.ts";
import { loadTokenizer, type Tokenizer } from "../shared/data/tokenizer.ts";
import { type Verbalizer, verbalizer } from "../shared/data/verbalizer.ts";
import type { Value } from "../shared/graph/engine.ts";
import { type Checkpoint, frozenWeights, openCheckpoint } from "../shared/models/checkpoint.ts";
import type { Model } from "../shared/models/model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { quote } from "../shared/protocol/json.ts";
import type { ModelRecord } from "../shared/protocol/manifest.ts";
import type { Task } from "../shared/protocol/task.ts";
import { InterruptedError } from "../shared/training/loop.ts";
import type { LabelledText } from "../shared/training/tune.ts";
import { longRun } from "./long-run.ts";
import type { Io } from "./output.ts";
import { catalogueId, neutralId } from "./public-names.ts";
import { requireSameEmbeddings } from "./saved-embeddings.ts";

/** A model that is ready to be used. */
export interface LoadedModel {
  /** What the user calls it: a folder or hub id. */
  readonly name: string;
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** What a manifest says of it. */
  readonly record: ModelRecord;
}

/**
 * Opens the model that an option names: a folder or a hub id.
 *
 * @throws ProblemError if it can't be found, read or computed
 */
export async function loadModel(name: string, io: Io): Promise<LoadedModel> {
  const folder = await findModel(name, io);
  const checkpoint = await openCheckpoint(folder);
  const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, io.precision));
  const tokenizer = await loadTokenizer(folder);
  const { digest } = await hashModel(folder);
  // A folder's name stays here. The digest says which revision of a hub's model it is.
  const id = folder === name ? await catalogueId(folder, digest) : name.split("@")[0];
  const record = { id: id ?? neutralId("model", digest), digest, architecture: checkpoint.family.name };
  return { name, folder, checkpoint, model, tokenizer, record };
}

async function findModel(name: string, io: Io): Promise<string> {
  return longRun(io, async ({ signal, onEvent }) => {
    try {
      return await resolveModel(name, hubOf(process.env), { signal, onEvent });
    } catch (error) {
      throw signal?.aborted ? new InterruptedError(0) : error;
    }
  });
}

/** The verbalizer of a task; what the user should know about its words is told. */
export function loadVerbalizer(task: Task, { tokenizer }: LoadedModel, io: Io): Verbalizer["classes"] {
  const { classes, notes } = verbalizer(task, tokenizer);
  for (const note of notes) io.message(note);
  return classes;
}

/** Reads and tokenises labelled rows; says how many texts were shortened. */
export async function loadLabelled(path: string, task: Task, model: LoadedModel, io: Io): Promise<LabelledText[]> {
  const examples = await readExamples(path, task);
  const texts = examples.map(({ text }) => text);
  return encodeAll(texts, path, task, model, io).map(({ ids, readAt }, i) => ({
    ids,
    readAt,
    label: examples[i]!.label,
  }));
}

/** Reads and tokenises the texts of rows; says how many were shortened. */
export async function loadTexts(path: string, task: Task, model: LoadedModel, io: Io): Promise<Encoded[]> {
  return encodeAll(await readTexts(path), path, task, model, io);
}

function encodeAll(
  texts: readonly string[],
  path: string,
  task: Task,
  { tokenizer, model }: LoadedModel,
  io: Io,
): Encoded[] {
  const encoded = texts.map(encoder(task, tokenizer, model.kind));
  const empty = encoded.findIndex(({ ids }) => ids.length === 0);
  if (empty >= 0) {
    const detail = `${path}: text ${empty + 1} and the template together have no token. Remove it or add words to the template.`;
    throw new ProblemError("The data file is not valid", detail);
  }
  const shortened = encoded.filter((example) => example.shortened).length;
  if (shortened > 0) {
    io.message(
      `${path}: ${shortened} of ${encoded.length} texts were shortened to ${task.maxLength} tokens (maxLength).`,
    );
  }
  return encoded;
}

/** Weights are trained in float32 only. @throws ProblemError if another precision is asked for */
export function requireFullPrecision(io: Io): void {
  if (io.precision === "float32") return;
  const detail = "--precision fp16 is for prompts: tune, transfer, evaluate and predict. Weights are trained in fp32.";
  throw new ProblemError("The precision can't be used", detail);
}

/** Reads and tokenises a corpus for a model of so many tokens. */
export async function loadCorpus(
  files: readonly string[],
  tokenizer: Tokenizer,
  vocabulary: number,
): Promise<Int32Array> {
  const tokens = await readCorpus(files, tokenizer);
  const largest = tokens.reduce((a, b) => Math.max(a, b), 0);
  if (largest >= vocabulary) {
    const detail = `The tokenizer has a token ${largest}, but config.json says a vocabulary of ${vocabulary}.`;
    throw new ProblemError("The tokenizer does not fit the model", detail);
  }
  return tokens;
}

/** A prompt folder with the prompt as a value `[P, D]`. */
export interface LoadedPrompt extends PromptFolder {
  readonly value: Value;
}

/**
 * Reads the soft prompt that an option names, for this model; says if it was tuned for another task than the one it is
 * used for.
 *
 * @throws ProblemError if it isn't valid or is for another model (by dimension, or by the digest in its manifest)
 */
export async function loadPrompt(folder: string, model: LoadedModel, io: Io, task?: Task): Promise<LoadedPrompt> {
  const prompt = await readPromptFolder(folder);
  const { checkpoint, record } = model;
  const { width: dimension, layers, heads } = checkpoint.config;
  requireFit(prompt, folder, { name: model.folder, dimension, layers, heads, digest: record.digest });
  await requireSameEmbeddings(prompt, folder, checkpoint);
  tellBase(prompt, folder, model, io);
  if (task && prompt.manifest && JSON.stringify(prompt.manifest.task) !== JSON.stringify(task)) {
    io.message(`${folder} was tuned for another task (${prompt.manifest.task.name}) or other words or template.`);
  }
  return { ...prompt, value: { shape: [prompt.virtualTokens, prompt.dimension], data: prompt.prompt } };
}

/**
 * Says if PEFT's config names another model than the one in use: without a manifest's digest nothing else tells them apart.
 *
 * @throws ProblemError if both are hub models of different names
 */
function tellBase({ manifest, baseModel }: PromptFolder, folder: string, model: LoadedModel, io: Io): void {
  if (manifest || !baseModel) return;
  const name = model.name.split("@")[0]!;
  const last = (path: string) => basename(path).toLowerCase();
  if (last(baseModel) === last(name)) return;
  const told = `${folder} was tuned on ${quote(baseModel)}, as its adapter_config.json says; it is used on ${name}.`;
  if (model.name !== model.folder && parseHubId(baseModel)) {
    const detail = `${told} If these are the same model, correct base_model_name_or_path there.`;
    throw new ProblemError("The soft prompt is for another model", detail, { status: 422 });
  }
  io.message(
    `${told} Whether these are the same model can't be told from the adapter: on another one of the same width it means nothing.`,
  );
}

/**
 * Reads the soft prompt that an option names and the task that it is used for: the one that another option names, or that of the
 * prompt's manifest.
 *
 * @throws ProblemError if there is no task, or as `loadPrompt`
 */
export async function loadPromptAndTask(
  options: { readonly prompt: string; readonly task?: string },
  model: LoadedModel,
  io: Io,
): Promise<{ prompt: LoadedPrompt; task: Task }> {
  const given = options.task === undefined ? undefined : await readTask(options.task);
  const prompt = await loadPrompt(options.prompt, model, io, given);
  const task = given ?? prompt.manifest?.task;
  if (task) return { prompt, task };
  const detail = `${options.prompt} has no softpost.json; name the task with --task.`;
  throw new ProblemError("The task is not known", detail);
}

/**
 * Refuses a prompt and a task that together are longer than the model's positions.
 *
 * @param rows virtual tokens
 * @throws ProblemError that says what to change
 */
export function requireRoom(task: Task, rows: number, { checkpoint, folder }: LoadedModel): void {
  const { positions } = checkpoint.config;
  if (rows + task.maxLength <= positions) return;
  throw new ProblemError(
    "The prompt and the texts are too long",
    `${rows} virtual tokens and ${task.maxLength} tokens of text (the task's maxLength) make ${rows + task.maxLength}, ` +
      `but ${folder} has ${positions} positions. Use fewer virtual tokens or lower maxLength.`,
    { status: 422 },
  );
}

/**
 * Refuses results that are not numbers, as broken weights or a learning rate that is far too high give them.
 *
 * @param what the values are, for the message
 */
export function requireFinite(values: Float32Array | Int32Array, what: string): void {
  if (values.every(Number.isFinite)) return;
  const detail = `${what} hold NaN or infinity: the model's weights are broken, or the learning rate is too high.`;
  throw new ProblemError("The result is not a number", detail);
}
