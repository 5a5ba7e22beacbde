/**
 * The only file that knows the tokenizer library: Hugging Face's own, in Rust, as a native module. In a browser the same library's WebAssembly
 * build can stand behind these functions.
 */

import { quote } from "../../protocol/json.ts";

/** The form of `tokenizer.json`. */
export type Definition = Readonly<Record<string, unknown>>;

/** A tokenizer that does what its definition says. */
export interface TokenizerLibrary {
  /** @param special whether the definition's post-processor adds special tokens */
  encode(texts: readonly string[], special: boolean): Promise<Int32Array[]>;
  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string>;
  /** The id of a token (not of a text), undefined if there is none. */
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
}

/** An encoded text takes the library some twenty times its ids' memory until these are taken out of it. */
const BATCH_CHARACTERS = 2 ** 20;

/**
 * Loads the library, the first time, and a definition into it.
 *
 * @throws Error of the library for a definition that it can't use
 */
export async function openTokenizer(definition: Definition): Promise<TokenizerLibrary> {
  const { Tokenizer } = await import("tokenizers");
  const tokenizer = Tokenizer.fromString(JSON.stringify(definition));
  refuseEqualTokens(definition, (text) => tokenizer.getNormalizer()?.normalizeString(text) ?? text);
  return {
    async encode(texts, addSpecialTokens) {
      const all: Int32Array[] = [];
      for (const batch of batches(texts)) {
        const encodings = await tokenizer.encodeBatch(batch, { addSpecialTokens });
        for (const encoding of encodings) all.push(new Int32Array(encoding.getIds()));
      }
      return all;
    },
    decode: (ids, skipSpecialTokens) => tokenizer.decode([...ids], skipSpecialTokens),
    idOf: (token) => tokenizer.tokenToId(token) ?? undefined,
    tokenOf: (id) => tokenizer.idToToken(id) ?? undefined,
  };
}

/** Of added tokens that are looked for as the same text the library takes one or another, differently every time. */
function refuseEqualTokens({ added_tokens: tokens }: Definition, normalize: (text: string) => string): void {
  const seen = new Map<string, string>();
  for (const { content, normalized } of (tokens ?? []) as { content: string; normalized: boolean }[]) {
    if (!normalized) continue;
    const text = normalize(content);
    const other = seen.get(text) ?? content;
    if (other !== content)
      throw new Error(`the added tokens ${quote(other)} and ${quote(content)} are the same once they are normalised`);
    seen.set(text, content);
  }
}

/** The texts as UTF-8 can have them (half a surrogate pair becomes U+FFFD), in batches. */
function* batches(texts: readonly string[]): Generator<string[]> {
  let batch: string[] = [];
  let characters = 0;
  for (const text of texts) {
    batch.push(text.toWellFormed());
    characters += text.length + 16;
    if (characters < BATCH_CHARACTERS) continue;
    yield batch;
    [batch, characters] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
