import type { Fault } from "./errors.ts";
import type { AnswersName, LossName, StartName } from "./manifest.ts";
import { isGeneration, type Task } from "./task.ts";

/** What of a transfer's options depends on whether the task's answers are labels or text. */
export interface FittedOptions {
  readonly loss?: LossName | undefined;
  readonly starts: readonly StartName[];
  readonly selected: number | null;
  readonly answers?: AnswersName | undefined;
}

/** What is compared: class distributions where the task has classes, else distributions over the vocabulary. */
export function lossFor(task: Task, loss: LossName | undefined): LossName {
  return loss ?? (isGeneration(task) ? "vocabulary" : "classes");
}

/** What was chosen that there is nothing of in a transfer for the task; `at` names the option. */
export function misfits(task: Task, { loss, starts, selected, answers }: FittedOptions): Fault[] {
  if (!isGeneration(task)) {
    if (answers === undefined) return [];
    return [{ at: "answers", message: "Is for tasks whose answer is text; this prompt's is one with labels." }];
  }
  const faults: Fault[] = [];
  const refuse = (at: string, message: string) =>
    faults.push({ at, message: `${message}; this prompt's answer is text.` });
  if (loss === "classes") refuse("loss", "Class distributions are for tasks with labels");
  if (starts.length > 1) refuse("starts", "Several starts are tried for tasks with labels only");
  if (selected !== null) refuse("selected", "Public texts are chosen by the labels that the student gives them");
  return faults;
}
