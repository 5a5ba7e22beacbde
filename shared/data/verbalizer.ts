import { type Fault, ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { ClassificationTask } from "../protocol/task.ts";
import { doubledTokens } from "./doubled-tokens.ts";
import { templateFiller, textEncoder } from "./encode.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Verbalizer {
  /** The token ids of each class, in the order of the task's labels; a class's score is the mean of their logits. */
  readonly classes: readonly Int32Array[];
  /** What the user should know: words that count by the first of several tokens, and special tokens that stand twice. */
  readonly notes: readonly string[];
}

/** Stands for the example's text: what comes after it decides how a word is split, not the text itself. */
const SAMPLE_TEXT = "text";

/** A label's word, and the tokens that it adds to the filled template. */
export interface WordTokens {
  /** Index of the label. */
  readonly label: number;
  readonly word: string;
  readonly ids: Int32Array;
}

/**
 * The tokens that each verbalizer word adds after the text that the template puts before it; the first is what the word counts by.
 *
 * @throws ProblemError with every word that has no token, can't follow the template, or shares its first token with
 *   another class
 */
export async function wordTokens(task: ClassificationTask, tokenizer: Tokenizer): Promise<WordTokens[]> {
  const preceding = await precedingText(task, tokenizer);
  const faults: Fault[] = [];
  const found: WordTokens[] = [];
  const classOf = new Map<number, number>();
  for (const [label, { words }] of task.labels.entries()) {
    for (const [index, word] of words.entries()) {
      const report = (message: string) => faults.push({ at: `task#/labels/${label}/words/${index}`, message });
      const ids = await addedTokens(tokenizer, preceding, word);
      if (typeof ids === "string") {
        report(ids);
        continue;
      }
      const other = classOf.get(ids[0]!) ?? label;
      if (other !== label) {
        const name = quote(task.labels[other]!.name);
        report(`The word ${quote(word)} begins with the same token as a word of the label ${name}; take another word.`);
      }
      classOf.set(ids[0]!, label);
      found.push({ label, word, ids });
    }
  }
  if (faults.length === 0) return found;
  const detail = "Some of its words can't be used with this model's vocabulary.";
  throw new ProblemError("The task does not fit the model", detail, { status: 422, faults });
}

/** The words of a task as classes of tokens. @throws ProblemError as `wordTokens` */
export async function verbalizer(task: ClassificationTask, tokenizer: Tokenizer): Promise<Verbalizer> {
  const words = await wordTokens(task, tokenizer);
  const notes: string[] = [];
  for (const { word, ids } of words) {
    if (ids.length === 1) continue;
    const first = quote(await tokenizer.decode([ids[0]!]));
    notes.push(`The word ${quote(word)} has ${ids.length} tokens; it counts by the first, ${first}.`);
  }
  const classes = task.labels.map((_, label) => {
    const own = words.filter((each) => each.label === label).map(({ ids }) => ids[0]!);
    return Int32Array.from(new Set(own));
  });
  const filled = templateFiller(task, tokenizer)(SAMPLE_TEXT);
  const encode = await textEncoder(tokenizer, task.template.includes("{mask}") ? "masked" : "causal");
  const doubled = [
    ...(await doubledTokens({ ...tokenizer, encode }, "The template", filled)),
    ...(await doubledTokens(tokenizer, "The init text", task.init)),
  ];
  return { classes, notes: [...notes, ...doubled] };
}

/** The filled template as far as the word. */
interface Preceding {
  readonly text: string;
  readonly ids: Int32Array;
  /** White space between it and a mask: a tokenizer may join that to the word. */
  readonly space: string;
}

async function precedingText(task: ClassificationTask, tokenizer: Tokenizer): Promise<Preceding> {
  const [head, mask] = task.template.split("{mask}");
  const filled = templateFiller({ ...task, template: head! }, tokenizer)(SAMPLE_TEXT);
  const text = mask === undefined ? filled : filled.trimEnd();
  const [ids] = await tokenizer.encodePieces([text]);
  return { text, ids: ids!, space: filled.slice(text.length) };
}

/** The tokens that a word adds, or why it can't be used. */
async function addedTokens(
  tokenizer: Tokenizer,
  { text, ids, space }: Preceding,
  word: string,
): Promise<Int32Array | string> {
  if (sticks(text + space, word)) {
    const end = lastWord(text);
    return `The word ${quote(word)} would stand without a space behind the template: ${quote(`…${end}${word}`)}. Write it with one: ${quote(` ${word}`)}.`;
  }
  try {
    // The mask stands after the space, so " good" and "good" say the same.
    const [all] = await tokenizer.encodePieces([text + (/^\s/.test(word) ? "" : space) + word]);
    if (!ids.every((id, index) => all![index] === id)) {
      const bare = text.trimEnd();
      const mended = /\s$/.test(text) && !/^\s/.test(word);
      return mended
        ? `The model reads the space at the template's end and the word ${quote(word)} as one token. Let the template end with ${quote(lastWord(bare))}, and write the word ${quote(` ${word}`)}.`
        : `The model reads the template's end and the word ${quote(word)} as one token: ${quote(`…${lastWord(text)}${word}`)}. Put a space or a line break between them.`;
    }
    const added = all!.subarray(ids.length);
    if (added.length === 0 || added[0] === tokenizer.unknownId)
      return `The word ${quote(word)} is not in the vocabulary.`;
    return added;
  } catch (error) {
    if (error instanceof ProblemError) return error.detail;
    throw error;
  }
}

/** Whether a word's letters would follow the template's letters at once, which no language that writes spaces means. */
function sticks(text: string, word: string): boolean {
  return /[A-Za-z0-9]$/.test(text) && /^[A-Za-z0-9]/.test(word);
}

/** The end of a template, to show it: from its last space on. */
function lastWord(text: string): string {
  return /\S+\s*$/.exec(text)?.[0] ?? text;
}
