import { ProblemError } from "../protocol/errors.ts";
import { type ClassificationTask, isGeneration, type Task } from "../protocol/task.ts";
import { longestText } from "../training/record-chunks.ts";
import type { OpenModel } from "./open-model.ts";

/**
 * Refuses a prompt and a task that together are longer than the model's positions.
 *
 * @param rows virtual tokens
 * @throws ProblemError that says what to change
 */
export function requireRoom(task: Task, rows: number, { checkpoint, name }: OpenModel): void {
  const { positions } = checkpoint.config;
  const answer = isGeneration(task) ? task.maxNewTokens : 0;
  const wanted = rows + task.maxLength + answer;
  if (wanted <= positions) return;
  const parts = [
    `${rows} virtual tokens and ${task.maxLength} tokens of text (the task's maxLength)`,
    ...(answer > 0 ? [` and ${answer} of the answer (its maxNewTokens)`] : []),
  ];
  const lower = answer > 0 ? "maxLength or maxNewTokens" : "maxLength";
  throw new ProblemError(
    "The prompt and the texts are too long",
    `${parts.join("")} make ${wanted}, but ${name} has ${positions} positions. Use fewer virtual tokens or lower ${lower}.`,
    { status: 422 },
  );
}

/**
 * Refuses what {@link requireRoom} allows if texts of `maxLength` can't be padded as private tuning pads them.
 *
 * @throws ProblemError that says what to change
 */
export function requirePrivateRoom(task: Task, rows: number, { checkpoint, name }: OpenModel): void {
  const { positions } = checkpoint.config;
  const most = longestText(rows, positions);
  if (task.maxLength <= most) return;
  throw new ProblemError(
    "The prompt and the texts are too long",
    `Private tuning pads a prompt of ${rows} virtual tokens and a text to a multiple of 4 tokens, for which the ${positions} ` +
      `positions of ${name} leave ${most} tokens of text, but the task's maxLength is ${task.maxLength}. Lower maxLength.`,
    { status: 422 },
  );
}

/**
 * Refuses narrow weights for private tuning. ONNX Runtime multiplies a matrix that it hasn't packed by a single row in another order than by several, so a
 * record's gradient would depend on how many rows its batch has (shared/privacy/README.md, "One record, one vector").
 *
 * @throws ProblemError
 */
export function requirePublishedWeights({ checkpoint, name }: OpenModel): void {
  if (checkpoint.narrow.size === 0) return;
  throw new ProblemError(
    "Private tuning needs the published weights",
    `With weights in 16, 8 or 4 bits a record's gradient depends on the size of its batch, so the guarantee would not be proven. Leave --weights out; if ${name} holds quantised weights, take the model that they were made of. A prompt without --epsilon can be tuned on them, and transfers can go to them.`,
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

/** A task as one with labels. @throws ProblemError if its answer is text */
export function requireClasses(task: Task): ClassificationTask {
  if (!isGeneration(task)) return task;
  const detail = `The task ${task.name} is a generation, whose answer is text; this is for tasks whose answer is one of some labels.`;
  throw new ProblemError("The task is of another kind", detail, { status: 422 });
}
