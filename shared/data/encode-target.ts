import { ProblemError } from "../protocol/errors.ts";
import type { GenerationTask } from "../protocol/task.ts";
import { encoder, templateFiller, textEncoder, wholeCharacters } from "./encode.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A text with its answer, as tokens. */
export interface EncodedTarget {
  /** Filled template, filled target, and what ends an answer. */
  readonly ids: Int32Array;
  /** Index into `ids` of the answer's first token. */
  readonly start: number;
  /** Index of the last token before it. */
  readonly readAt: number;
  /** The filled template alone, which the model is to continue. */
  readonly question: Int32Array;
  readonly target: string;
  /** Whether the text had to be shortened to fit the task's `maxLength`. */
  readonly shortened: boolean;
}

/** A row of a generation task. */
interface Row {
  readonly text: string;
  readonly target: string;
}

/**
 * A function that tokenises filled template, filled target and the first stop string (or the end token, if there is none) as one string.
 * What is behind the longest common beginning with the template's own tokens is the answer. If all has more than `maxLength` tokens,
 * the text loses characters at its end until it fits.
 * @returns of that function: what it made of every row, or why the row can't be used
 * @throws ProblemError (at once) as `encoder`, or if the task has no stop string and the tokenizer no end token
 */
export async function targetEncoder(
  task: GenerationTask,
  tokenizer: Tokenizer,
  kind: "causal" | "masked",
): Promise<(rows: readonly Row[]) => Promise<(EncodedTarget | string)[]>> {
  const encodeQuestions = await encoder(task, tokenizer, kind);
  const encodeText = await textEncoder(tokenizer, kind);
  const fill = templateFiller(task, tokenizer);
  const [stop] = task.stop;
  const end = stop === undefined ? [endToken(tokenizer)] : [];
  const encode = async ({ text, target }: Row): Promise<number[]> => {
    const answer = task.target.replace("{target}", () => target) + (stop ?? "");
    const [ids] = await encodeText([fill(text) + answer]);
    return [...ids!, ...end];
  };
  return async (rows) => {
    const questions = await encodeQuestions(rows.map(({ text }) => text));
    const encoded: (EncodedTarget | string)[] = [];
    for (const [i, { text, target }] of rows.entries()) {
      const used = await longestText(
        text,
        async (part) => (await encode({ text: part, target })).length <= task.maxLength,
      );
      if (used === undefined) {
        encoded.push(
          `Its target has no room: beside the template alone, maxLength (${task.maxLength}) leaves too few tokens for it.`,
        );
        continue;
      }
      const ids = await encode({ text: used, target });
      const [own] = await encodeText([fill(used)]);
      const shortened = used.length < text.length || questions[i]!.shortened;
      const start = commonLength(ids, own!);
      if (start === 0) encoded.push("Its text and the template have no token before the target's.");
      else if (start === ids.length) encoded.push("Its target adds no token to the template's.");
      else {
        const question = questions[i]!.ids;
        encoded.push({ ids: Int32Array.from(ids), start, readAt: start - 1, question, target, shortened });
      }
    }
    return encoded;
  };
}

function endToken({ endId }: Tokenizer): number {
  if (endId !== undefined) return endId;
  const detail = "It has no stop string, and the model's tokenizer has no end token: nothing would end an answer.";
  const faults = [{ at: "task#/stop", message: 'Give one, such as "\\n".' }];
  throw new ProblemError("The task does not fit the model", detail, { faults });
}

/** The longest beginning of a text that fits, by bisection; undefined if not even the empty one does. */
async function longestText(text: string, fits: (part: string) => Promise<boolean>): Promise<string | undefined> {
  if (await fits(text)) return text;
  if (!(await fits(""))) return undefined;
  let [most, tooLong] = [0, text.length];
  while (tooLong - most > 1) {
    const middle = (most + tooLong) >> 1;
    if (await fits(text.slice(0, wholeCharacters(text, middle)))) most = middle;
    else tooLong = middle;
  }
  return text.slice(0, wholeCharacters(text, most));
}

/** How many elements two lists have in common from their beginnings on. */
function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}
