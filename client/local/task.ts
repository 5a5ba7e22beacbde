import { readTask } from "../../shared/data/files.ts";
import type { SoftPrompt } from "../../shared/operations/soft-prompt.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { validate } from "../../shared/protocol/json.ts";
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

/** Tells a watcher something that is no error. */
export function sayTo({ onEvent }: Watch): (text: string) => void {
  return (text) => onEvent?.({ kind: "note", text });
}
