import { quote } from "../protocol/json.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Notes on texts that begin or end with a special token that the tokenizer puts there itself, so that the model sees it twice.
 *
 * @param texts by what they are called
 */
export async function doubledTokens(tokenizer: Tokenizer, texts: Readonly<Record<string, string>>): Promise<string[]> {
  const names = Object.keys(texts);
  const wholes = await tokenizer.encode(Object.values(texts));
  const bares = await tokenizer.encodePieces(Object.values(texts));
  const notes: string[] = [];
  for (const [index, name] of names.entries()) {
    const [whole, bare] = [wholes[index]!, bares[index]!];
    const before = Array.from({ length: whole.length - bare.length + 1 }, (_, start) => start).find((start) =>
      bare.every((id, i) => whole[start + i] === id),
    );
    if (before === undefined || bare.length === 0) continue;
    for (const [where, own, added] of [
      ["begins", bare[0]!, whole[before - 1]],
      ["ends", bare.at(-1)!, whole[before + bare.length]],
    ] as const) {
      if (own !== added) continue;
      const token = quote(await tokenizer.decode([own]));
      notes.push(`${name} ${where} with ${token}, which the tokenizer adds itself: the model sees it twice.`);
    }
  }
  return notes;
}
