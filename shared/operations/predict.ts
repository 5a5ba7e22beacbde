import { groupedBy } from "../data/grouped.ts";
import { type Data, pathOf, type TextRow, textRowsOf } from "../data/jsonl.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { type ClassificationTask, isGeneration, type Task } from "../protocol/task.ts";
import type { Answer } from "../training/answer.ts";
import { predict } from "../training/evaluate.ts";
import { partOf, type Watch } from "../training/events.ts";
import type { EncodedText } from "../training/texts.ts";
import { answerTexts } from "./answers.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import { classWords } from "./class-words.ts";
import type { OpenModel } from "./open-model.ts";
import { encodeTexts } from "./texts.ts";

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
  texts: Rows<EncodedText>,
  engine: Engine,
  watch: Watch,
): Promise<Float32Array> {
  requireRoom(task, prompt?.shape[0] ?? 0, model);
  const classes = await classWords(task, model, watch);
  const probabilities = await predict({ engine, model: model.model, classes, prompt }, texts, watch);
  requireFinite(probabilities, `The probabilities of ${model.name}`);
  return probabilities;
}

/** A model, any task and the soft prompt that it is done with, or none. */
export interface Prompted {
  readonly model: OpenModel;
  readonly task: Task;
  /** `[P, D]` */
  readonly prompt: Value | undefined;
}

/** Rows that are in memory at once, and characters of theirs. Each group loads the model's graph anew, which takes a small part of its time. */
const GROUP = { most: 16_384, size: 32 * 1024 * 1024 };

/** A row's prediction, and the fields that it has beside its text. */
export interface PredictedRow {
  readonly prediction: Prediction | Answer;
  readonly fields: TextRow["fields"];
}

/**
 * What a model makes of the rows of a file: in their order and in groups, so that memory doesn't grow with the file.
 *
 * @param total rows of the file, of which `surveyTexts` knows that they can be used
 * @throws ProblemError as `predictRows`; InterruptedError when stopped
 */
export async function* predictFile(
  { model, task, prompt, data, total }: Prompted & { readonly data: Data; readonly total: number },
  engine: Engine,
  watch: Watch,
): AsyncGenerator<PredictedRow[]> {
  let done = 0;
  const sizeOf = ({ text, fields }: TextRow) => text.length + JSON.stringify(fields).length;
  for await (const rows of groupedBy(textRowsOf(data), GROUP, sizeOf)) {
    const own = rows.map(({ text }) => text);
    const texts = await encodeTexts(own, pathOf(data), task, model);
    const made = await predictRows({ model, task, prompt }, texts, engine, partOf(watch, done, total));
    yield made.map((prediction, i) => ({ prediction, fields: rows[i]!.fields }));
    done += rows.length;
  }
}

/** What a model makes of every text, a row each: a label with probabilities, or an answer. */
export async function predictRows(
  { model, task, prompt }: Prompted,
  texts: Rows<EncodedText>,
  engine: Engine,
  watch: Watch,
): Promise<readonly (Prediction | Answer)[]> {
  if (!isGeneration(task)) return predictLabels({ model, task, prompt }, texts, engine, watch);
  const questions = Array.from(texts, ({ ids }) => ids);
  return answerTexts({ model, task, prompt }, questions, engine, watch);
}

/** Labels texts. @throws ProblemError as `classProbabilities` */
async function predictLabels(
  classification: Classification,
  texts: Rows<EncodedText>,
  engine: Engine,
  watch: Watch,
): Promise<Prediction[]> {
  const names = classification.task.labels.map(({ name }) => name);
  const probabilities = await classProbabilities(classification, texts, engine, watch);
  return Array.from({ length: texts.length }, (_, i) => {
    const row = probabilities.subarray(i * names.length, (i + 1) * names.length);
    const label = names[row.indexOf(Math.max(...row))]!;
    return { label, probabilities: Object.fromEntries(names.map((name, k) => [name, row[k]!])) };
  });
}
