import { readTask } from "../shared/data/files.ts";
import { type Verbalizer, verbalizer } from "../shared/data/verbalizer.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { ClassificationTask, Task } from "../shared/protocol/task.ts";
import type { WeightsName } from "../shared/protocol/weights.ts";
import type { Watch } from "../shared/training/events.ts";
import { openModel } from "./local/model.ts";
import { type LoadedPrompt, loadPrompt } from "./local/prompt.ts";
import { longRun } from "./long-run.ts";
import type { Io } from "./output.ts";

/**
 * Opens the model that an option names: a folder or a hub id. Its digest is taken from this machine's records of unchanged files, unless
 * `--verify` is given.
 *
 * @param options.weights the form of its matrices, if not what --weights says; "stored" for that of the folder
 * @throws ProblemError if it can't be found, read or computed
 */
export function loadModel(
  name: string,
  io: Io,
  { weights = io.weights ?? ("stored" as const) }: { weights?: WeightsName | "stored" } = {},
): Promise<OpenModel> {
  const { precision, verify } = io;
  const options = { precision, verify, weights: weights === "stored" ? undefined : weights };
  const kept = () =>
    `Stopped. What came of the model is kept; the same command goes on from there${options.weights ? ", and makes unfinished weights anew" : ""}.`;
  return longRun(io, kept, (watch) => openModel(name, options, watch));
}

/** Has what a function tells a watcher said to the user. */
export function telling(io: Io): Watch {
  return {
    onEvent: (event) => {
      if (event.kind === "note") io.message(event.text);
    },
  };
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
  const prompt = await loadPrompt(options.prompt, model, { task: given }, telling(io));
  const task = given ?? prompt.manifest?.task;
  if (task) return { prompt, task };
  const detail = `${options.prompt} has no softpost.json; name the task with --task.`;
  throw new ProblemError("The task is not known", detail);
}
