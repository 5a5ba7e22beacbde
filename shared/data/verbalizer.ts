import { type Fault, ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { Task } from "../protocol/task.ts";
import { doubledTokens } from "./doubled-tokens.ts";
import { templateFiller } from "./encode.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Verbalizer {
  /** The token ids of each class, in the order of the task's labels; a class's score is the mean of their logits. */
  readonly classes: readonly Int32Array[];
  /** What the user should know: words that count by the first of several tokens, and special tokens that stand twice. */
  readonly notes: readonly string[];
}

/** Stands for the example's text: what comes after it decides how a word is split, not the text itself. */
const SAMPLE_TEXT = "text";

/**
 * The token that each verbalizer word adds first after the text that the template puts before it.
 *
 * @throws ProblemError with every word that has no token, can't follow the template, or shares its token with
 *   another class
 */
export async function verbalizer(task: Task, tokenizer: Tokenizer): Promise<Verbalizer> {
  const preceding = await precedingText(task, tokenizer);
  const faults: Fault[] = [];
  const notes: string[] = [];
  const classOf = new Map<number, number>();
  for (const [label, { words }] of task.labels.entries()) {
    for (const [index, word] of words.entries()) {
      const report = (message: string) => faults.push({ at: `task#/labels/${label}/words/${index}`, message });
      const added = await addedTokens(tokenizer, preceding, word);
      if (typeof added === "string") {
        report(added);
        continue;
      }
      const id = added[0]!;
      const other = classOf.get(id) ?? label;
      if (other !== label) {
        const name = quote(task.labels[other]!.name);
        report(`The word ${quote(word)} begins with the same token as a word of the label ${name}.`);
      }
      if (added.length > 1) {
        const first = quote(await tokenizer.decode([id]));
        notes.push(`The word ${quote(word)} has ${added.length} tokens; it counts by the first, ${first}.`);
      }
      classOf.set(id, label);
    }
  }
  if (faults.length > 0) {
    const detail = "Some of its words can't be used with this model's vocabulary.";
    throw new ProblemError("The task does not fit the model", detail, { status: 422, faults });
  }
  const ids = [...classOf.keys()];
  const classes = task.labels.map((_, label) => Int32Array.from(ids.filter((id) => classOf.get(id) === label)));
  const filled = templateFiller(task, tokenizer)(SAMPLE_TEXT);
  const doubled = await doubledTokens(tokenizer, { "The template": filled, "The init text": task.init });
  return { classes, notes: [...notes, ...doubled] };
}

/** The filled template as far as the word. */
interface Preceding {
  readonly text: string;
  readonly ids: Int32Array;
  /** White space between it and a mask: a tokenizer may join that to the word. */
  readonly space: string;
}

async function precedingText(task: Task, tokenizer: Tokenizer): Promise<Preceding> {
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
  try {
    // The mask stands after the space, so " good" and "good" say the same.
    const [all] = await tokenizer.encodePieces([text + (/^\s/.test(word) ? "" : space) + word]);
    if (!ids.every((id, index) => all![index] === id)) {
      return `The word ${quote(word)} joins the end of the template into one token. Put the space between them on the other side.`;
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
