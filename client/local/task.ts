import { readTask } from "../../shared/data/files.ts";
import type { SoftPrompt } from "../../shared/operations/soft-prompt.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { validate } from "../../shared/protocol/json.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { type Task, taskSchema } from "../../shared/protocol/task.ts";
import type { Watch } from "../../shared/training/events.ts";

/** A task, or the path of a task.json. */
export type GivenTask = Task | string;

/** @throws ProblemError with every fault of the task */
export async function taskOf(given: GivenTask): Promise<Task> {
  return typeof given === "string" ? readTask(given) : validate(taskSchema, given, "task", "The task is not valid");
}

/** The task that is given, else the prompt's. @throws ProblemError if there is none */
export async function taskFor(given: GivenTask | undefined, prompt: SoftPrompt | undefined): Promise<Task> {
  const task = given === undefined ? prompt?.manifest?.task : await taskOf(given);
  if (task) return task;
  throw new ProblemError("The task is not known", "Neither a task is given, nor a prompt whose manifest has one.");
}

/** A prompt with its manifest. @throws ProblemError if it has none: then nobody knows for which task it is */
export function requireManifest<T extends SoftPrompt>(prompt: T): T & { readonly manifest: Manifest } {
  const { manifest } = prompt;
  if (manifest) return { ...prompt, manifest };
  throw new ProblemError("The task is not known", "The prompt has no softpost.json, which says for what task it is.");
}

/** Tells a watcher something that is no error. */
export function sayTo({ onEvent }: Watch): (text: string) => void {
  return (text) => onEvent?.({ kind: "note", text });
}
