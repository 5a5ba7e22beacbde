import { ProblemError } from "../protocol/errors.ts";
import type { Task } from "../protocol/task.ts";
import { longestText } from "../training/record-chunks.ts";
import type { OpenModel } from "./open-model.ts";

/**
 * Refuses a prompt and a task that together are longer than the model's positions.
 *
 * @param rows virtual tokens
 * @throws ProblemError that says what to change
 */
export function requireRoom(task: Task, rows: number, { checkpoint, record }: OpenModel): void {
  const { positions } = checkpoint.config;
  if (rows + task.maxLength <= positions) return;
  throw new ProblemError(
    "The prompt and the texts are too long",
    `${rows} virtual tokens and ${task.maxLength} tokens of text (the task's maxLength) make ${rows + task.maxLength}, ` +
      `but ${record.id} has ${positions} positions. Use fewer virtual tokens or lower maxLength.`,
    { status: 422 },
  );
}

/**
 * Refuses what {@link requireRoom} allows if texts of `maxLength` can't be padded as private tuning pads them.
 *
 * @throws ProblemError that says what to change
 */
export function requirePrivateRoom(task: Task, rows: number, { checkpoint, record }: OpenModel): void {
  const { positions } = checkpoint.config;
  const most = longestText(rows, positions);
  if (task.maxLength <= most) return;
  throw new ProblemError(
    "The prompt and the texts are too long",
    `Private tuning pads a prompt of ${rows} virtual tokens and a text to a multiple of 4 tokens, for which the ${positions} ` +
      `positions of ${record.id} leave ${most} tokens of text, but the task's maxLength is ${task.maxLength}. Lower maxLength.`,
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
