import { type Fault, ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { ClassificationTask } from "../protocol/task.ts";
import { templateFiller } from "./encode.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Verbalizer {
  /** The token ids of each class, in the order of the task's labels; a class's score is the mean of their logits. */
  readonly classes: readonly Int32Array[];
  /** What the user should know: words that count by the first of several tokens. */
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
export function verbalizer(task: ClassificationTask, tokenizer: Tokenizer): Verbalizer {
  const preceding = precedingText(task, tokenizer);
  const faults: Fault[] = [];
  const notes: string[] = [];
  const classOf = new Map<number, number>();
  task.labels.forEach(({ words }, label) => {
    words.forEach((word, index) => {
      const report = (message: string) => faults.push({ at: `task#/labels/${label}/words/${index}`, message });
      const added = addedTokens(tokenizer, preceding, word);
      if (typeof added === "string") {
        report(added);
        return;
      }
      const id = added[0]!;
      const other = classOf.get(id) ?? label;
      if (other !== label) {
        const name = quote(task.labels[other]!.name);
        report(`The word ${quote(word)} begins with the same token as a word of the label ${name}.`);
      }
      if (added.length > 1) {
        const first = quote(tokenizer.decode([id]));
        notes.push(`The word ${quote(word)} has ${added.length} tokens; it counts by the first, ${first}.`);
      }
      classOf.set(id, label);
    });
  });
  if (faults.length > 0) {
    const detail = "Some of its words can't be used with this model's vocabulary.";
    throw new ProblemError("The task does not fit the model", detail, { status: 422, faults });
  }
  const ids = [...classOf.keys()];
  const classes = task.labels.map((_, label) => Int32Array.from(ids.filter((id) => classOf.get(id) === label)));
  return { classes, notes };
}

/** The filled template as far as the word. */
interface Preceding {
  readonly text: string;
  readonly ids: readonly number[];
  /** White space between it and a mask: a tokenizer may join that to the word. */
  readonly space: string;
}

function precedingText(task: ClassificationTask, tokenizer: Tokenizer): Preceding {
  const [head, mask] = task.template.split("{mask}");
  const filled = templateFiller({ ...task, template: head! }, tokenizer)(SAMPLE_TEXT);
  const text = mask === undefined ? filled : filled.trimEnd();
  return { text, ids: tokenizer.encodePiece(text), space: filled.slice(text.length) };
}

/** The tokens that a word adds, or why it can't be used. */
function addedTokens(tokenizer: Tokenizer, { text, ids, space }: Preceding, word: string): number[] | string {
  // The mask stands after the space, so " good" and "good" say the same.
  const all = tokenizer.encodePiece(text + (/^\s/.test(word) ? "" : space) + word);
  if (!ids.every((id, index) => all[index] === id)) {
    return `The word ${quote(word)} joins the end of the template into one token. Put the space between them on the other side.`;
  }
  const added = all.slice(ids.length);
  if (added.length === 0 || added[0] === tokenizer.unknownId)
    return `The word ${quote(word)} is not in the vocabulary.`;
  return added;
}
