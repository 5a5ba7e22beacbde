import { quote } from "../protocol/json.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Notes on a text that begins or ends with a special token that the tokenizer puts there itself, so that the model sees it twice.
 *
 * @param name what it is called
 */
export async function doubledTokens(tokenizer: Tokenizer, name: string, text: string): Promise<string[]> {
  const [whole, bare] = [(await tokenizer.encode([text]))[0]!, (await tokenizer.encodePieces([text]))[0]!];
  const before = Array.from({ length: whole.length - bare.length + 1 }, (_, start) => start).find((start) =>
    bare.every((id, i) => whole[start + i] === id),
  );
  if (before === undefined || bare.length === 0) return [];
  const notes: string[] = [];
  for (const [where, own, added] of [
    ["begins", bare[0]!, whole[before - 1]],
    ["ends", bare.at(-1)!, whole[before + bare.length]],
  ] as const) {
    if (own !== added) continue;
    const token = quote(await tokenizer.decode([own]));
    notes.push(`${name} ${where} with ${token}, which the tokenizer adds itself: the model sees it twice.`);
  }
  return notes;
}
