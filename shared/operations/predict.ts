import { verbalizer } from "../data/verbalizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { type ClassificationTask, isGeneration, type Task } from "../protocol/task.ts";
import type { Answer } from "../training/answer.ts";
import { predict } from "../training/evaluate.ts";
import type { Watch } from "../training/events.ts";
import type { EncodedText } from "../training/texts.ts";
import { answerTexts } from "./answers.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";

/** What a model makes of a text: the likeliest label, and the probability of each. */
export interface Prediction {
  readonly label: string;
  readonly probabilities: Readonly<Record<string, number>>;
}

/** A model, a task and the soft prompt that it is done with, or none. */
export interface Classification {
  readonly model: OpenModel;
  readonly task: ClassificationTask;
  /** `[P, D]` */
  readonly prompt: Value | undefined;
}

/**
 * The class probabilities of every text: K numbers a text, row-major.
 * @param texts in the task's template, as tokens
 * @throws ProblemError if the words can't be used, prompt and texts have no room, or the probabilities aren't finite
 */
export async function classProbabilities(
  { model, task, prompt }: Classification,
  texts: readonly EncodedText[],
  engine: Engine,
  watch: Watch,
): Promise<Float32Array> {
  requireRoom(task, prompt?.shape[0] ?? 0, model);
  const { classes, notes } = await verbalizer(task, model.tokenizer);
  for (const text of notes) watch.onEvent?.({ kind: "note", text });
  const probabilities = await predict({ engine, model: model.model, classes, prompt }, texts, watch);
  requireFinite(probabilities, `The probabilities of ${model.name}`);
  return probabilities;
}

/** What a model makes of every text, a row each: a label with probabilities, or an answer. */
export async function predictRows(
  { model, task, prompt }: { readonly model: OpenModel; readonly task: Task; readonly prompt: Value | undefined },
  texts: readonly EncodedText[],
  engine: Engine,
  watch: Watch,
): Promise<readonly (Prediction | Answer)[]> {
  if (!isGeneration(task)) return predictLabels({ model, task, prompt }, texts, engine, watch);
  const questions = texts.map(({ ids }) => ids);
  return answerTexts({ model, task, prompt }, questions, engine, watch);
}

/** Labels texts. @throws ProblemError as `classProbabilities` */
async function predictLabels(
  classification: Classification,
  texts: readonly EncodedText[],
  engine: Engine,
  watch: Watch,
): Promise<Prediction[]> {
  const names = classification.task.labels.map(({ name }) => name);
  const probabilities = await classProbabilities(classification, texts, engine, watch);
  return texts.map((_, i) => {
    const row = probabilities.subarray(i * names.length, (i + 1) * names.length);
    const label = names[row.indexOf(Math.max(...row))]!;
    return { label, probabilities: Object.fromEntries(names.map((name, k) => [name, row[k]!])) };
  });
}
