import { templateFiller, textEncoder } from "../data/encode.ts";
import { grouped } from "../data/grouped.ts";
import { type LabelCounts, MOST_LABELS_READ } from "../data/jsonl.ts";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import { type ClassificationTask, parseTask } from "../protocol/task.ts";
import type { OpenModel } from "./open-model.ts";

/** What somebody says of a task before there is one; the rest is proposed. */
export interface Wishes {
  readonly name: string;
  readonly template?: string | undefined;
  /** What a label is called behind the template, by its name. */
  readonly words: ReadonlyMap<string, readonly string[]>;
}

const MOST_LABELS = 50;
/** A prompt of the usual size has to fit beside the texts, or one of half the positions in a small model. */
const PROMPT_ROWS = 100;
/** Of the texts, the share that isn't shortened, if the model has room. */
const WHOLE_TEXTS = 0.95;
const LENGTH_STEP = 16;
const MOST_TOKENS = 512;

/**
 * A task for labelled rows: a template, a word a label, and a length that leaves nearly all texts whole.
 *
 * @param texts those of the rows, or some of them
 * @returns the task, and how many of the texts it shortens
 * @throws ProblemError for labels that can't be names, or that are numbers and have no words
 */
export async function proposeTask(
  { name, template: wanted, words }: Wishes,
  labels: LabelCounts,
  texts: Iterable<string> | AsyncIterable<string>,
  model: OpenModel,
): Promise<{ readonly task: ClassificationTask; readonly shortened: number }> {
  const names = [...labels.keys()].sort();
  refuseLabels(names, words);
  const template = wanted ?? (model.model.kind === "masked" ? "{text}\nLabel: {mask}" : "{text}\nLabel:");
  const task = {
    name,
    template,
    labels: names.map((label) => ({ name: label, words: words.get(label) ?? [` ${label.toLowerCase()}`] })),
    init: `Give the label of the text: ${names.join(", ")}.`,
    maxLength: MOST_TOKENS,
  };
  const parsed = parseTask(JSON.stringify(task), "task.json") as ClassificationTask;
  const lengths = await lengthsOf(texts, templateFiller(parsed, model.tokenizer), model);
  const most = quantile(lengths, WHOLE_TEXTS);
  const { positions } = model.checkpoint.config;
  const room = positions - Math.min(PROMPT_ROWS, Math.floor(positions / 2));
  const maxLength = Math.min(Math.ceil(most / LENGTH_STEP) * LENGTH_STEP, MOST_TOKENS, room);
  const shortened = [...lengths].reduce((sum, [length, count]) => sum + (length > maxLength ? count : 0), 0);
  return { task: { ...parsed, maxLength }, shortened };
}

/** How many texts there are of each number of tokens. */
async function lengthsOf(
  texts: Iterable<string> | AsyncIterable<string>,
  fill: (text: string) => string,
  { tokenizer, model }: OpenModel,
): Promise<ReadonlyMap<number, number>> {
  const counts = new Map<number, number>();
  const encode = await textEncoder(tokenizer, model.kind);
  for await (const group of grouped(texts)) {
    for (const { length } of await encode(group.map(fill))) counts.set(length, (counts.get(length) ?? 0) + 1);
  }
  return counts;
}

/** The least length that more than a share of the texts don't exceed, or the largest. */
function quantile(counts: ReadonlyMap<number, number>, share: number): number {
  const ascending = [...counts].sort(([a], [b]) => a - b);
  const total = ascending.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [length, count] of ascending) {
    seen += count;
    if (seen > Math.floor(share * total)) return length;
  }
  return ascending.at(-1)![0];
}

function refuseLabels(names: readonly string[], words: ReadonlyMap<string, readonly string[]>): void {
  const title = "The labels can't be proposed for";
  if (names.length < 2)
    throw new ProblemError(title, `All rows have the label ${quote(names[0]!)}: there is nothing to tell apart.`);
  if (names.length > MOST_LABELS) {
    const detail = `There are ${names.length > MOST_LABELS_READ ? "more than " : ""}${Math.min(names.length, MOST_LABELS_READ)} different labels. If they are answers, the task is a generation (softpost task --help); if they are numbers on a scale, put them into classes.`;
    throw new ProblemError(title, detail);
  }
  const unknown = [...words.keys()].find((label) => !names.includes(label));
  if (unknown !== undefined)
    throw new ProblemError(title, `No row has the label ${quote(unknown)}; there are ${names.map(quote).join(", ")}.`);
  const numbers = names.filter((label) => /^[-+\d.]+$/.test(label) && !words.has(label));
  if (numbers.length === 0) return;
  const example = numbers.map((label) => `--word ${label}=…`).join(" ");
  throw new ProblemError(
    title,
    `The labels ${numbers.join(", ")} are numbers, which say nothing to a model. Say what they stand for: ${example}`,
  );
}
