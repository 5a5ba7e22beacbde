/** Stands for shared/data/tokenizer/library.ts in a browser, where no native module runs: Hugging Face's implementation in JavaScript. */
import { Tokenizer } from "@huggingface/tokenizers";
import type { Definition, TokenizerLibrary } from "../../../shared/data/tokenizer/library.ts";

/**
 * @throws Error for a definition for which the two implementations are known to differ, or that this one lacks a part for
 */
export async function openTokenizer(definition: Definition): Promise<TokenizerLibrary> {
  const reason = differs(definition);
  if (reason !== undefined) {
    throw new Error(
      `${reason}, which the tokenizer for browsers does otherwise. Tune with this student on the command line`,
    );
  }
  const tokenizer = new Tokenizer(definition, {});
  return {
    encode: async (texts, special) =>
      texts.map((text) => Int32Array.from(tokenizer.encode(text.toWellFormed(), { add_special_tokens: special }).ids)),
    decode: async (ids, skipSpecialTokens) =>
      tokenizer.decode([...ids], { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false }),
    idOf: (token) => tokenizer.token_to_id(token),
    tokenOf: (id) => tokenizer.id_to_token(id),
  };
}

interface Model {
  readonly type?: string;
  readonly vocab?: unknown;
  readonly merges?: unknown;
  readonly byte_fallback?: boolean;
}

interface AddedToken {
  readonly content?: string;
  readonly single_word?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

/** The token of the byte 0, where bytes stand for what has no token. */
const FIRST_BYTE = "<0x00>";

/** What was found to give other ids than the library in Rust (test/web/tune/tokenizer.test.ts). */
function differs(definition: Definition): string | undefined {
  const model = definition.model as Model;
  if (model.type === "Unigram" || Array.isArray(model.vocab)) return "It is a Unigram model";
  const text = JSON.stringify([definition.normalizer, definition.pre_tokenizer]);
  const bytes = model.byte_fallback === true && Object.hasOwn(model.vocab as object, FIRST_BYTE);
  if (model.merges !== undefined && !bytes && !text.includes('"ByteLevel"'))
    return "It is a BPE model without bytes for what it doesn't know";
  const added = (definition.added_tokens ?? []) as readonly AddedToken[];
  const odd = added.find(
    ({ single_word, rstrip, normalized }) => single_word || rstrip || (normalized && definition.normalizer),
  );
  if (odd)
    return `It finds its added token ${JSON.stringify(odd.content)} in words, beside spaces or in normalised text`;
  return undefined;
}
