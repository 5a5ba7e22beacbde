import { templateFiller, textEncoder } from "../data/encode.ts";
import { wordTokens } from "../data/verbalizer.ts";
import { isGeneration, type Task } from "../protocol/task.ts";
import type { OpenModel } from "./open-model.ts";

/** A label's word as a model reads it behind the template. */
export interface CheckedWord {
  readonly label: string;
  readonly word: string;
  /** What it adds, token by token; it counts by the first. */
  readonly tokens: readonly string[];
}

/** A text in the template, as a model reads it. */
export interface CheckedText {
  readonly filled: string;
  readonly tokens: readonly string[];
  /** Whether it has more tokens than the task's `maxLength`, so that the text's end is left out. */
  readonly shortened: boolean;
}

/**
 * The words of a task's labels as tokens; none for a task whose answer is text.
 * @throws ProblemError with every word that can't be used
 */
export async function checkWords(task: Task, { tokenizer }: OpenModel): Promise<CheckedWord[]> {
  if (isGeneration(task)) return [];
  const words = await wordTokens(task, tokenizer);
  return Promise.all(
    words.map(async ({ label, word, ids }) => ({
      label: task.labels[label]!.name,
      word,
      tokens: await Promise.all([...ids].map((id) => tokenizer.decode([id]))),
    })),
  );
}

/** Texts in the task's template. @throws ProblemError if the template has a mask that the tokenizer hasn't */
export async function checkTexts(
  task: Task,
  { tokenizer, model }: OpenModel,
  texts: readonly string[],
): Promise<CheckedText[]> {
  const filled = texts.map(templateFiller(task, tokenizer));
  const encode = await textEncoder(tokenizer, model.kind);
  const encoded = await encode(filled);
  return Promise.all(
    encoded.map(async (ids, i) => ({
      filled: filled[i]!,
      tokens: await Promise.all([...ids].map((id) => tokenizer.decode([id]))),
      shortened: ids.length > task.maxLength,
    })),
  );
}
