import { type Encoded, encoder } from "../data/encode.ts";
import { type EncodedTarget, targetEncoder } from "../data/encode-target.ts";
import { CALL, grouped, groupedBy } from "../data/grouped.ts";
import { type Data, examplesOf, LineFaults, pathOf, type TargetRow, targetsOf, textsOf } from "../data/jsonl.ts";
import { LabelledRows, PackedTexts, type Rows } from "../data/packed-texts.ts";
import { ProblemError } from "../protocol/errors.ts";
import { type ClassificationTask, type GenerationTask, isGeneration, type Task } from "../protocol/task.ts";
import type { LabelledText } from "../training/objective.ts";
import type { OpenModel } from "./open-model.ts";

/** Tells the user something that is no error. */
export type Say = (text: string) => void;

/**
 * The texts of a JSONL file in the task's template, as tokens; says how many were shortened.
 * @throws ProblemError for a file that can't be read, a task that doesn't fit the model, or a text that is left without a token
 */
export async function encodedTexts(data: Data, task: Task, model: OpenModel, say?: Say): Promise<PackedTexts> {
  return encodeTexts(textsOf(data), pathOf(data), task, model, say);
}

/** Looks through texts as `encodedTexts`, and keeps none. @returns how many there are. @throws ProblemError as `encodedTexts` */
export async function surveyTexts(data: Data, task: Task, model: OpenModel, say?: Say): Promise<number> {
  const counts = { texts: 0, shortened: 0 };
  for await (const group of encodedGroups(textsOf(data), pathOf(data), task, model)) {
    counts.texts += group.length;
    counts.shortened += shortenedOf(group);
  }
  sayShortened(counts, pathOf(data), task, say);
  return counts.texts;
}

/** Labelled rows likewise. @throws ProblemError also for a label that the task hasn't */
export async function encodedExamples(
  data: Data,
  task: ClassificationTask,
  model: OpenModel,
  say?: Say,
): Promise<Rows<LabelledText>> {
  const labels: number[] = [];
  async function* texts() {
    for await (const { text, label } of examplesOf(data, task)) {
      labels.push(label);
      yield text;
    }
  }
  const encoded = await encodeTexts(texts(), pathOf(data), task, model, say);
  return new LabelledRows(encoded, Int32Array.from(labels));
}

/**
 * The rows of a generation task's JSONL file, with their answers.
 * @throws ProblemError as `encodedTexts`, also with the line of every row whose target is missing or has no room
 */
async function encodedTargets(
  data: Data,
  task: GenerationTask,
  { tokenizer, model }: OpenModel,
  say?: Say,
): Promise<EncodedTarget[]> {
  const encode = await targetEncoder(task, tokenizer, model.kind);
  const encoded: EncodedTarget[] = [];
  const path = pathOf(data);
  const faults = new LineFaults(path);
  const sizeOf = ({ text, target }: TargetRow) => text.length + target.length;
  for await (const rows of groupedBy(targetsOf(data), CALL, sizeOf)) {
    for (const [i, row] of (await encode(rows)).entries()) {
      if (typeof row !== "string") encoded.push(row);
      else faults.add(rows[i]!.line, { fault: row });
      if (faults.isFull) break;
    }
    if (faults.isFull) break;
  }
  if (faults.list.length > 0) {
    const detail = `${path} has lines that can't be used.`;
    throw new ProblemError("The data file is not valid", detail, { faults: faults.list });
  }
  sayShortened({ texts: encoded.length, shortened: shortenedOf(encoded) }, path, task, say);
  return encoded;
}

/** Rows with what is wanted of them: labels or answers, as the task's kind has it. */
export type TaskRows =
  | { readonly kind: "classification"; readonly task: ClassificationTask; readonly rows: Rows<LabelledText> }
  | { readonly kind: "generation"; readonly task: GenerationTask; readonly rows: readonly EncodedTarget[] };

/** `encodedExamples` or `encodedTargets`. */
export async function encodedRows(data: Data, task: Task, model: OpenModel, say?: Say): Promise<TaskRows> {
  if (isGeneration(task)) return { kind: "generation", task, rows: await encodedTargets(data, task, model, say) };
  return { kind: "classification", task, rows: await encodedExamples(data, task, model, say) };
}

/**
 * Texts in the task's template, as tokens. They are tokenised in groups, so that of a large file the tokens are held, not the texts.
 * @param path where they are from, for messages
 * @param numbers which of the file's texts they are, from 0, if they aren't all
 * @throws ProblemError as `encodedTexts`
 */
export async function encodeTexts(
  texts: Iterable<string> | AsyncIterable<string>,
  path: string,
  task: Task,
  model: OpenModel,
  say?: Say,
  numbers?: ArrayLike<number>,
): Promise<PackedTexts> {
  const packed = new PackedTexts();
  let shortened = 0;
  for await (const group of encodedGroups(texts, path, task, model, numbers)) {
    packed.append(group);
    shortened += shortenedOf(group);
  }
  sayShortened({ texts: packed.length, shortened }, path, task, say);
  return packed;
}

/** The same in the groups in which they are tokenised. @throws ProblemError as `encodedTexts` */
export async function* encodedGroups(
  texts: Iterable<string> | AsyncIterable<string>,
  path: string,
  task: Task,
  { tokenizer, model }: OpenModel,
  numbers?: ArrayLike<number>,
): AsyncGenerator<Encoded[]> {
  const encode = await encoder(task, tokenizer, model.kind);
  let before = 0;
  for await (const group of grouped(texts)) {
    const encoded = await encode(group);
    const empty = encoded.findIndex(({ ids }) => ids.length === 0);
    if (empty >= 0) {
      const number = (numbers?.[before + empty] ?? before + empty) + 1;
      const detail = `${path}: text ${number} and the template together have no token. Remove it or add words to the template.`;
      throw new ProblemError("The data file is not valid", detail);
    }
    before += encoded.length;
    yield encoded;
  }
}

const shortenedOf = (encoded: readonly { readonly shortened: boolean }[]): number =>
  encoded.filter((example) => example.shortened).length;

function sayShortened(
  { texts, shortened }: { readonly texts: number; readonly shortened: number },
  path: string,
  { maxLength }: Task,
  say?: Say,
): void {
  if (shortened === 0) return;
  say?.(`${path}: ${shortened} of ${texts} texts were shortened to ${maxLength} tokens (maxLength).`);
}
