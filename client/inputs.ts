import { basename, join } from "node:path";
import { DigestRecords } from "../shared/data/digest-records.ts";
import { readTask } from "../shared/data/files.ts";
import { resolveModel } from "../shared/data/hub.ts";
import { hubOf, parseHubId } from "../shared/data/hub-address.ts";
import { hashModel } from "../shared/data/model-files.ts";
import { type PromptFolder, readPromptFolder, requireFit } from "../shared/data/prompt-folder.ts";
import { type Verbalizer, verbalizer } from "../shared/data/verbalizer.ts";
import type { Value } from "../shared/graph/engine.ts";
import { type OpenModel, openModel } from "../shared/operations/open-model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { quote } from "../shared/protocol/json.ts";
import { MANIFEST_FILE, type Manifest } from "../shared/protocol/manifest.ts";
import { type ClassificationTask, isGeneration, type Task } from "../shared/protocol/task.ts";
import { neutralId } from "../shared/submission/outgoing.ts";
import { softpostHome } from "./home.ts";
import { longRun } from "./long-run.ts";
import type { Io } from "./output.ts";
import { catalogueId } from "./public-names.ts";
import { requireSameEmbeddings } from "./saved-embeddings.ts";

/**
 * Opens the model that an option names: a folder or a hub id. Its digest is taken from this machine's records of unchanged files, unless
 * `--verify` is given.
 *
 * @throws ProblemError if it can't be found, read or computed
 */
export async function loadModel(name: string, io: Io): Promise<OpenModel> {
  const folder = await findModel(name, io);
  const { digest } = await hashModel(folder, digestRecords(io).hash);
  // A folder's name stays here. The digest says which revision of a hub's model it is.
  const known = folder === name ? await catalogueId(folder, digest) : name.split("@")[0];
  const identity = { id: known ?? neutralId("model", digest), digest, name };
  const model = await openModel(folder, identity, io.precision);
  for (const note of model.checkpoint.notes) io.message(note);
  return model;
}

/** This machine's records of digests: `$SOFTPOST_HOME/digests`, or `~/.softpost/digests`. */
export function digestRecords(io: Io): DigestRecords {
  return new DigestRecords(join(softpostHome(), "digests"), { verify: io.verify });
}

async function findModel(name: string, io: Io): Promise<string> {
  const kept = () => "Stopped. What came of the model is kept; the same command goes on from there.";
  return longRun(io, kept, (watch) => resolveModel(name, hubOf(process.env), watch));
}

/** The verbalizer of a task; what the user should know about its words is told. */
export async function loadVerbalizer(
  task: ClassificationTask,
  { tokenizer }: OpenModel,
  io: Io,
): Promise<Verbalizer["classes"]> {
  const { classes, notes } = await verbalizer(task, tokenizer);
  for (const note of notes) io.message(note);
  return classes;
}

/** Weights are trained in float32 only. @throws ProblemError if another precision is asked for */
export function requireFullPrecision(io: Io): void {
  if (io.precision === "float32") return;
  const detail = "--precision fp16 is for prompts: tune, transfer, evaluate and predict. Weights are trained in fp32.";
  throw new ProblemError("The precision can't be used", detail);
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
export async function loadPrompt(folder: string, model: OpenModel, io: Io, task?: Task): Promise<LoadedPrompt> {
  const prompt = await readPromptFolder(folder);
  const { checkpoint, record } = model;
  const { width: dimension, layers, heads } = checkpoint.config;
  requireFit(prompt, folder, { name: model.folder, dimension, layers, heads, digest: record.digest });
  await requireSameEmbeddings(prompt, folder, checkpoint);
  tellBase(prompt, folder, model, io);
  if (task && prompt.manifest) requireSameKind(prompt.manifest.task, task, folder);
  if (task && prompt.manifest && JSON.stringify(prompt.manifest.task) !== JSON.stringify(task)) {
    io.message(`${folder} was tuned for another task (${prompt.manifest.task.name}) or other words or template.`);
  }
  return { ...prompt, value: { shape: [prompt.virtualTokens, prompt.dimension], data: prompt.prompt } };
}

/** @throws ProblemError if a prompt that was tuned for labels is used for answers, or the reverse */
function requireSameKind(tuned: Task, task: Task, folder: string): void {
  if (isGeneration(tuned) === isGeneration(task)) return;
  const kind = (of: Task) =>
    isGeneration(of) ? "generation (its answer is text)" : "classification (its answer is a label)";
  const at = `${folder}/${MANIFEST_FILE}#/task/kind`;
  const message = `Was tuned for a ${kind(tuned)}; the task ${task.name} is a ${kind(task)}.`;
  throw new ProblemError("The soft prompt is for another kind of task", `${at}: ${message}`, {
    status: 422,
    faults: [{ at, message }],
  });
}

/**
 * Says if PEFT's config names another model than the one in use: without a manifest's digest nothing else tells them apart.
 *
 * @throws ProblemError if both are hub models of different names
 */
function tellBase({ manifest, baseModel }: PromptFolder, folder: string, model: OpenModel, io: Io): void {
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
  options: { readonly prompt: string; readonly task?: string | undefined },
  model: OpenModel,
  io: Io,
): Promise<{ prompt: LoadedPrompt; task: Task }> {
  const given = options.task === undefined ? undefined : await readTask(options.task);
  const prompt = await loadPrompt(options.prompt, model, io, given);
  const task = given ?? prompt.manifest?.task;
  if (task) return { prompt, task };
  const detail = `${options.prompt} has no softpost.json; name the task with --task.`;
  throw new ProblemError("The task is not known", detail);
}

/** A prompt with its manifest. @throws ProblemError if it has none: then nobody knows for which task it is */
export function requireManifest(prompt: LoadedPrompt, folder: string): LoadedPrompt & { manifest: Manifest } {
  const { manifest } = prompt;
  if (manifest) return { ...prompt, manifest };
  const detail = `${folder} has no softpost.json, which says for what task the prompt is.`;
  throw new ProblemError("The task is not known", detail);
}
