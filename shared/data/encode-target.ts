import { ProblemError } from "../protocol/errors.ts";
import type { GenerationTask } from "../protocol/task.ts";
import { encoder, templateFiller, wholeCharacters } from "./encode.ts";
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

/**
 * A function that tokenises filled template, filled target and the first stop string (or the end token, if there is none) as one string.
 * What is behind the longest common beginning with the template's own tokens is the answer. If all has more than `maxLength` tokens,
 * the text loses characters at its end until it fits.
 * @returns of that function: what it made, or why the row can't be used
 * @throws ProblemError (at once) as `encoder`, or if the task has no stop string and the tokenizer no end token
 */
export function targetEncoder(
  task: GenerationTask,
  tokenizer: Tokenizer,
  kind: "causal" | "masked",
): (text: string, target: string) => EncodedTarget | string {
  const question = encoder(task, tokenizer, kind);
  const fill = templateFiller(task, tokenizer);
  const [stop] = task.stop;
  const end = stop === undefined ? [endToken(tokenizer)] : [];
  return (text, target) => {
    const answer = task.target.replace("{target}", () => target) + (stop ?? "");
    const encode = (part: string) => [...tokenizer.encode(fill(part) + answer), ...end];
    const used = longestText(text, (part) => encode(part).length <= task.maxLength);
    if (used === undefined) {
      return `Its target has no room: beside the template alone, maxLength (${task.maxLength}) leaves too few tokens for it.`;
    }
    const ids = encode(used);
    const start = commonLength(ids, tokenizer.encode(fill(used)));
    if (start === 0) return "Its text and the template have no token before the target's.";
    if (start === ids.length) return "Its target adds no token to the template's.";
    const asked = question(text);
    const shortened = used.length < text.length || asked.shortened;
    return { ids: Int32Array.from(ids), start, readAt: start - 1, question: asked.ids, target, shortened };
  };
}

function endToken({ endId }: Tokenizer): number {
  if (endId !== undefined) return endId;
  const detail = "It has no stop string, and the model's tokenizer has no end token: nothing would end an answer.";
  const faults = [{ at: "task#/stop", message: 'Give one, such as "\\n".' }];
  throw new ProblemError("The task does not fit the model", detail, { faults });
}

/** The longest beginning of a text that fits, by bisection; undefined if not even the empty one does. */
function longestText(text: string, fits: (part: string) => boolean): string | undefined {
  if (fits(text)) return text;
  if (!fits("")) return undefined;
  let [most, tooLong] = [0, text.length];
  while (tooLong - most > 1) {
    const middle = (most + tooLong) >> 1;
    if (fits(text.slice(0, wholeCharacters(text, middle)))) most = middle;
    else tooLong = middle;
  }
  return text.slice(0, wholeCharacters(text, most));
}

/** How many elements two lists have in common from their beginnings on. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  const differs = a.findIndex((value, i) => value !== b[i]);
  return differs < 0 ? a.length : differs;
}
