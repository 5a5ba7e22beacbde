import type { Tokenizer } from "../../shared/data/tokenizer.ts";

/** The ids of one text as a plain list, with special tokens. */
export async function idsOf(tokenizer: Tokenizer, text: string): Promise<number[]> {
  return [...(await tokenizer.encode([text]))[0]!];
}

/** Without them. */
export async function pieceOf(tokenizer: Tokenizer, text: string): Promise<number[]> {
  return [...(await tokenizer.encodePieces([text]))[0]!];
}
