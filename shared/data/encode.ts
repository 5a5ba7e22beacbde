import { ProblemError } from "../protocol/errors.ts";
import { isGeneration, type Task } from "../protocol/task.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** An example as the model reads it. */
export interface Encoded {
  /** Token ids of the filled template, special tokens included: for a causal model only those before it. */
  readonly ids: Int32Array;
  /** Index into `ids` of the position that the model is read at: the template's mask, or the last token if it has none. */
  readonly readAt: number;
  /** Whether the text had to be shortened to fit the task's `maxLength`. */
  readonly shortened: boolean;
}

const TITLE = "The task does not fit the model";

/**
 * A function that fills the task's template with texts and tokenises each as one string. If that has more than
 * `task.maxLength` tokens, the text loses characters at its end until it fits; the template never does.
 *
 * @param kind of the model: a masked one is read at the template's mask, so it must have one, and a causal one can't have one
 * @throws ProblemError (at once) if the template alone is too long, or its mask is missing, not known to the tokenizer or
 *   there twice
 */
export async function encoder(
  task: Task,
  tokenizer: Tokenizer,
  kind: "causal" | "masked",
): Promise<(texts: readonly string[]) => Promise<Encoded[]>> {
  requireMask(task, kind);
  const fill = templateFiller(task, tokenizer);
  const encode = await textEncoder(tokenizer, kind);
  const [bare] = await encode([fill("")]);
  if (bare!.length > task.maxLength) {
    throw new ProblemError(
      TITLE,
      `The template alone has ${bare!.length} tokens, maxLength is ${task.maxLength}. Raise it or shorten the template.`,
      { faults: [{ at: "task#/maxLength", message: `Must be at least ${bare!.length}.` }] },
    );
  }
  const readAt = readPosition(task, tokenizer, bare!);
  const encodeFilled = (texts: readonly string[]) => encode(texts.map(fill));
  return async (texts) => {
    const all = await encodeFilled(texts);
    const tooLong = [...all.keys()].filter((index) => all[index]!.length > task.maxLength);
    const cut = await longestFits(
      encodeFilled,
      tooLong.map((index) => texts[index]!),
      { ids: bare!, maxLength: task.maxLength },
    );
    const shortened = new Map(tooLong.map((index, i) => [index, cut[i]!]));
    return all.map((whole, index) => {
      const ids = shortened.get(index) ?? whole;
      return { ids, readAt: readAt(ids), shortened: shortened.has(index) };
    });
  };
}

function requireMask(task: Task, kind: "causal" | "masked"): void {
  if (isGeneration(task)) {
    requireCausal(kind);
    return;
  }
  const { template } = task;
  const has = template.includes("{mask}");
  if (has === (kind === "masked")) return;
  const detail = has
    ? "The template has a {mask}, but the model is a causal one: it is read after the last token."
    : "The model is a masked one, which is read at its mask, but the template has no {mask}.";
  const message = has ? "Remove {mask}." : "Put {mask} where a label's word would stand.";
  throw new ProblemError(TITLE, detail, { faults: [{ at: "task#/template", message }] });
}

/**
 * A function that finds the template's own mask. A text may hold the mask token too: it is then one more mask that the
 * model sees, as with transformers, and the template's is the last or, if the text comes after it, the first.
 *
 * @param bare ids of the template with the empty text
 */
function readPosition({ template }: Task, tokenizer: Tokenizer, bare: Int32Array): (ids: Int32Array) => number {
  if (!template.includes("{mask}")) return (ids) => ids.length - 1;
  const mask = tokenizer.maskId!;
  const count = bare.filter((id) => id === mask).length;
  if (count !== 1) {
    throw new ProblemError(TITLE, `The template has the mask token ${count} times; it must have it once, as {mask}.`, {
      faults: [{ at: "task#/template", message: `Must not hold ${tokenizer.maskToken} beside {mask}.` }],
    });
  }
  const first = template.indexOf("{mask}") < template.indexOf("{text}");
  return (ids) => (first ? ids.indexOf(mask) : ids.lastIndexOf(mask));
}

/** A function that puts a text into the task's template. */
export function templateFiller(task: Task, tokenizer: Pick<Tokenizer, "maskToken">): (text: string) => string {
  const { maskToken } = tokenizer;
  if (task.template.includes("{mask}") && maskToken === undefined) {
    throw new ProblemError(TITLE, "The template has a {mask}, but the model's tokenizer has no mask token.", {
      faults: [{ at: "task#/template", message: "Use a tokenizer_config.json that names its mask_token." }],
    });
  }
  // A function as the replacement: in a string "$&" and the like would be expanded.
  const template = task.template.replace("{mask}", () => maskToken ?? "");
  return (text) => template.replace("{text}", () => text);
}

/** @throws ProblemError for a masked model, which can't continue a text */
export function requireCausal(kind: "causal" | "masked"): void {
  if (kind === "causal") return;
  const detail =
    "The task is a generation, whose answer is text, and the model is a masked one (RoBERTa, BERT), which can't continue a text.";
  throw new ProblemError(TITLE, `${detail} Use a causal model (GPT-2, Llama, Mistral, Qwen).`, { status: 422 });
}

/** Encodes texts as a model reads them: what a causal one goes on with has no special tokens behind it, as some tokenizers put them. */
export async function textEncoder(tokenizer: Tokenizer, kind: "causal" | "masked"): Promise<Tokenizer["encode"]> {
  const end = kind === "causal" ? await closingTokens(tokenizer) : 0;
  return async (texts) => (await tokenizer.encode(texts)).map((ids) => ids.subarray(0, ids.length - end));
}

/** How many special tokens a tokenizer puts behind every text: nothing may be continued behind them. */
export async function closingTokens(tokenizer: Tokenizer): Promise<number> {
  const [whole, piece] = [(await tokenizer.encode(["a"]))[0]!, (await tokenizer.encodePieces(["a"]))[0]!];
  const opening = whole.findIndex((_, at) => piece.every((id, i) => whole[at + i] === id));
  return whole.length - opening - piece.length;
}

/**
 * The token ids of the longest beginning of every text that fits, by bisection of all of them at once.
 *
 * @param empty ids of the empty text, which is known to fit
 */
async function longestFits(
  encode: (texts: readonly string[]) => Promise<Int32Array[]>,
  texts: readonly string[],
  { ids: empty, maxLength }: { readonly ids: Int32Array; readonly maxLength: number },
): Promise<Int32Array[]> {
  const searches = texts.map((text) => ({ text, best: empty, fits: 0, tooLong: text.length, middle: 0 }));
  for (;;) {
    const open = searches.filter(({ fits, tooLong }) => tooLong - fits > 1);
    if (open.length === 0) return searches.map(({ best }) => best);
    for (const search of open) search.middle = (search.fits + search.tooLong) >> 1;
    const all = await encode(open.map(({ text, middle }) => text.slice(0, wholeCharacters(text, middle))));
    open.forEach((search, index) => {
      const ids = all[index]!;
      if (ids.length > maxLength) search.tooLong = search.middle;
      else [search.best, search.fits] = [ids, search.middle];
    });
  }
}

/** `length`, or one less if it would cut a surrogate pair in two. */
export function wholeCharacters(text: string, length: number): number {
  const last = text.charCodeAt(length - 1);
  return last >= 0xd800 && last < 0xdc00 ? length - 1 : length;
}

/**
 * The tokens whose embeddings a prompt of `rows` rows starts from: the instruction's, special tokens included, repeated
 * and cut, as PEFT's TEXT initialisation does.
 *
 * @throws ProblemError if the instruction has no token
 */
export async function initialisationIds(tokenizer: Tokenizer, text: string, rows: number): Promise<Int32Array> {
  const [ids] = await tokenizer.encode([text]);
  if (ids!.length === 0)
    throw new ProblemError(TITLE, "The instruction that the prompt starts from (init) has no token.");
  return Int32Array.from({ length: rows }, (_, row) => ids![row % ids!.length]!);
}
