import type { Tokenizer } from "../../shared/data/tokenizer.ts";
import type { Decode } from "../../shared/training/answer.ts";

/**
 * Decodes tokens as what they are behind a text: some tokenizers leave out a space at the beginning of whatever they decode, and a
 * continuation has a beginning only in front of it.
 * @param ids the text's
 */
export async function continuation(tokenizer: Tokenizer, ids: Int32Array): Promise<Decode> {
  const last = ids.at(-1)!;
  const before = await tokenizer.decode([last]);
  const alone: Decode = (own) => tokenizer.decode(own);
  // Half a character: it may become another one with what comes.
  if (before.includes("\ufffd")) return alone;
  return async (own) => {
    const all = await tokenizer.decode([last, ...own]);
    return all.startsWith(before) ? all.slice(before.length) : alone(own);
  };
}
