import { quietTokenizer } from "../../shared/data/quiet-tokenizer.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Service } from "../service.ts";

/** Texts as the model reads them, with the special tokens before them that the tokenizer adds. @throws ProblemError that names which can't be read, and quotes none */
export async function encodeTexts<P>(
  { target, closingTokens }: Service<P>,
  prompts: readonly (string | readonly number[])[],
): Promise<Int32Array[]> {
  const texts = prompts.filter((prompt) => typeof prompt === "string");
  const encoded = await quietTokenizer(target.tokenizer).encode(texts);
  return prompts.map((prompt, i) => {
    const ids = typeof prompt === "string" ? withoutEnd(encoded.shift()!, closingTokens) : Int32Array.from(prompt);
    const { vocabulary } = target.checkpoint.config;
    if (ids.length === 0) throw invalid(i, "Has no token.");
    if (ids.some((id) => id >= vocabulary)) throw invalid(i, `Has a token id that isn't below ${vocabulary}.`);
    return ids;
  });
}

/** A text without special tokens of its own: what a chat template gives has them. */
export async function encodeRendered<P>({ target }: Service<P>, text: string): Promise<Int32Array> {
  const [ids] = await quietTokenizer(target.tokenizer).encodePieces([text]);
  if (ids!.length === 0) throw new ProblemError("The request is not valid", "The messages make no token.");
  return ids!;
}

function withoutEnd(ids: Int32Array, count: number): Int32Array {
  return ids.subarray(0, ids.length - count);
}

function invalid(index: number, message: string): ProblemError {
  return new ProblemError("The request is not valid", `Text ${index + 1} can't be read.`, {
    faults: [{ at: "body#/prompt", message }],
  });
}
