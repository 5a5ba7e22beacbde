import { basename } from "node:path";
import { parseHubId } from "../../shared/data/hub-address.ts";
import { type PromptFolder, readPromptFolder, requireFit } from "../../shared/data/prompt-folder.ts";
import type { Value } from "../../shared/graph/engine.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { type SoftPrompt, writePrompt } from "../../shared/operations/soft-prompt.ts";
import type { Say } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { quote } from "../../shared/protocol/json.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import { isGeneration, type Task } from "../../shared/protocol/task.ts";
import type { Watch } from "../../shared/training/events.ts";
import { openOut } from "../out-folder.ts";
import { requireSameEmbeddings } from "../saved-embeddings.ts";
import { sayTo } from "./task.ts";

/** A prompt folder with the prompt as a value `[P, D]`. */
export interface LoadedPrompt extends PromptFolder {
  readonly value: Value;
}

/**
 * Reads a soft prompt's folder, for this model; says if it was tuned for another task than the one it is used for.
 *
 * @throws ProblemError if it isn't valid or is for another model (by dimension, or by the digest in its manifest)
 */
export async function loadPrompt(
  folder: string,
  model: OpenModel,
  { task }: { readonly task?: Task | undefined } = {},
  watch: Watch = {},
): Promise<LoadedPrompt> {
  const say = sayTo(watch);
  const prompt = await readPromptFolder(folder);
  const { checkpoint, record } = model;
  const { width: dimension, layers, heads } = checkpoint.config;
  requireFit(prompt, folder, { name: model.folder, dimension, layers, heads, digest: record.digest });
  await requireSameEmbeddings(prompt, folder, checkpoint);
  tellBase(prompt, folder, model, say);
  if (task && prompt.manifest) requireSameKind(prompt.manifest.task, task, folder);
  if (task && prompt.manifest && JSON.stringify(prompt.manifest.task) !== JSON.stringify(task)) {
    say(`${folder} was tuned for another task (${prompt.manifest.task.name}) or other words or template.`);
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
function tellBase({ manifest, baseModel }: PromptFolder, folder: string, model: OpenModel, say: Say): void {
  if (manifest || !baseModel) return;
  const name = model.name.split("@")[0]!;
  const last = (path: string) => basename(path).toLowerCase();
  if (last(baseModel) === last(name)) return;
  const told = `${folder} was tuned on ${quote(baseModel)}, as its adapter_config.json says; it is used on ${name}.`;
  if (model.name !== model.folder && parseHubId(baseModel)) {
    const detail = `${told} If these are the same model, correct base_model_name_or_path there.`;
    throw new ProblemError("The soft prompt is for another model", detail, { status: 422 });
  }
  say(
    `${told} Whether these are the same model can't be told from the adapter: on another one of the same width it means nothing.`,
  );
}

/**
 * Writes a soft prompt as a PEFT folder with its manifest, whole or not at all.
 *
 * @param folder a new one
 * @throws ProblemError if the folder holds something, or the prompt has no manifest
 */
export async function savePrompt({ value, manifest }: SoftPrompt, folder: string): Promise<void> {
  if (!manifest) {
    const detail = "It has no manifest, as an adapter has that another program made; copy its folder instead.";
    throw new ProblemError("The soft prompt can't be saved", detail);
  }
  using out = await openOut(folder, {});
  await out.finish((written) => writePrompt(written, { prompt: value, facts: manifest }));
}
