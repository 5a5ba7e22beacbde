import { type Encoded, encoder } from "../data/encode.ts";
import { readExamples, readTexts } from "../data/jsonl.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { Task } from "../protocol/task.ts";
import type { LabelledText } from "../training/tune.ts";
import type { OpenModel } from "./open-model.ts";

/** Tells the user something that is no error. */
export type Say = (text: string) => void;

/**
 * The texts of a JSONL file in the task's template, as tokens; says how many were shortened.
 * @throws ProblemError for a file that can't be read, a task that doesn't fit the model, or a text that is left without a token
 */
export async function encodedTexts(path: string, task: Task, model: OpenModel, say?: Say): Promise<Encoded[]> {
  return encodeAll(await readTexts(path), path, task, model, say);
}

/**
 * A transfer's texts as either model reads them: a student that was cut from its target reads with the target's tokenizer, an open one
 * with its own.
 */
export async function publicTexts(path: string, task: Task, target: OpenModel, student: OpenModel, say?: Say) {
  const texts = await encodedTexts(path, task, target, say);
  const studentTexts = await encodedTexts(path, task, student);
  return { file: path, texts, studentTexts };
}

/** Labelled rows likewise. @throws ProblemError also for a label that the task hasn't */
export async function encodedExamples(path: string, task: Task, model: OpenModel, say?: Say): Promise<LabelledText[]> {
  const examples = await readExamples(path, task);
  const encoded = await encodeAll(
    examples.map(({ text }) => text),
    path,
    task,
    model,
    say,
  );
  return encoded.map(({ ids, readAt }, i) => ({ ids, readAt, label: examples[i]!.label }));
}

async function encodeAll(
  texts: readonly string[],
  path: string,
  task: Task,
  { tokenizer, model }: OpenModel,
  say?: Say,
): Promise<Encoded[]> {
  const encode = await encoder(task, tokenizer, model.kind);
  const encoded = await encode(texts);
  const empty = encoded.findIndex(({ ids }) => ids.length === 0);
  if (empty >= 0) {
    const detail = `${path}: text ${empty + 1} and the template together have no token. Remove it or add words to the template.`;
    throw new ProblemError("The data file is not valid", detail);
  }
  const shortened = encoded.filter((example) => example.shortened).length;
  if (shortened > 0) {
    say?.(`${path}: ${shortened} of ${encoded.length} texts were shortened to ${task.maxLength} tokens (maxLength).`);
  }
  return encoded;
}
