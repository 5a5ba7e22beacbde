import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import { notLoaded, type Resolved, resolveTokenizer } from "./tokenizer/definition.ts";
import type { Json } from "./tokenizer/files.ts";
import { openTokenizer, type TokenizerLibrary } from "./tokenizer/library.ts";

/** Text to token ids, as transformers' `AutoTokenizer` of the same folder does it. */
export interface Tokenizer {
  /**
   * The ids of every text, with the special tokens that the tokenizer adds.
   *
   * @throws ProblemError for one that the model has no embedding for
   */
  encode(texts: readonly string[]): Promise<Int32Array[]>;
  /** Without them: pieces of longer texts. */
  encodePieces(texts: readonly string[]): Promise<Int32Array[]>;
  /** @param options.skipSpecialTokens leaves out special tokens */
  decode(ids: Iterable<number>, options?: { readonly skipSpecialTokens?: boolean }): Promise<string>;
  /** Refuses ids that the model has no embedding for. @throws ProblemError that names the token */
  requireEmbedded(ids: Iterable<number>): void;
  /** The id of a token (not of a text), undefined if there is none. */
  idOf(token: string): number | undefined;
  /** What stands for text that has no token of its own; undefined if the tokenizer has no such token. */
  readonly unknownId: number | undefined;
  /** What begins a text, and what ends one. */
  readonly startId: number | undefined;
  readonly endId: number | undefined;
  /** A masked model's mask. */
  readonly maskId: number | undefined;
  /** The text of a masked model's mask. */
  readonly maskToken: string | undefined;
}

/**
 * Loads a model folder's tokenizer.
 *
 * @param model config.json of the model that it is used with, if that isn't the folder's: its type decides about the class, and its
 *   `vocab_size` is the number of embeddings
 * @throws ProblemError if files are missing, or for what can't be done as transformers does it, by its name
 */
export async function loadTokenizer(folder: string, model?: Json): Promise<Tokenizer> {
  const resolved = await resolveTokenizer(folder, model);
  const library = await openTokenizer(resolved.definition).catch((cause: unknown) => {
    throw notLoaded(folder, cause);
  });
  return createTokenizer(library, resolved);
}

function createTokenizer(
  library: TokenizerLibrary,
  { named, unknownId, cleansUp, embeddings }: Omit<Resolved, "definition">,
): Tokenizer {
  const idOf = (token: string | undefined) => (token === undefined ? undefined : library.idOf(token));
  const maskToken = named.get("mask_token");
  const maskId = idOf(maskToken);
  const requireEmbedded = (ids: Iterable<number>) => {
    for (const id of ids) if (id >= embeddings) throw notEmbedded(id, library.tokenOf(id), embeddings);
  };
  const encode = async (texts: readonly string[], special: boolean) => {
    const all = await library.encode(texts, special);
    all.forEach(requireEmbedded);
    return all;
  };
  return {
    encode: (texts) => encode(texts, true),
    encodePieces: (texts) => encode(texts, false),
    async decode(ids, { skipSpecialTokens = false } = {}) {
      const text = await library.decode([...ids], skipSpecialTokens);
      return cleansUp ? cleanUp(text) : text;
    },
    requireEmbedded,
    idOf,
    unknownId,
    startId: idOf(named.get("bos_token") ?? named.get("cls_token")),
    endId: idOf(named.get("eos_token") ?? named.get("sep_token")),
    maskId,
    maskToken: maskId === undefined ? undefined : maskToken,
  };
}

function notEmbedded(id: number, token: string | undefined, embeddings: number): ProblemError {
  const detail =
    `A text has the token ${quote(token ?? "")} (id ${id}), but the model has embeddings of ${embeddings} tokens only (vocab_size in its config.json): ` +
    "the token was added without resizing the model. Resize it, or leave the token out of the texts.";
  return new ProblemError("The tokenizer does not fit the model", detail, { status: 422 });
}

/** transformers' `clean_up_tokenization`, for decoded text of tokenizers without merges whose config asks for it. */
function cleanUp(text: string): string {
  const ends = [".", "?", "!", ","];
  const closed = ends.reduce((cleaned, end) => cleaned.replaceAll(` ${end}`, end), text).replaceAll(" ' ", "'");
  return ["n't", "'m", "'s", "'ve", "'re"].reduce((cleaned, end) => cleaned.replaceAll(` ${end}`, end), closed);
}

/** What training a masked model needs of its tokenizer. */
export interface MaskTokens {
  /** What begins and ends a row. */
  readonly start: number;
  readonly end: number;
  readonly mask: number;
  /** Token ids are below this. */
  readonly vocabulary: number;
}

/**
 * The tokens that masking needs, undefined if the tokenizer lacks one of them.
 *
 * @throws ProblemError for one that the model has no embedding for
 */
export function maskTokens(tokenizer: Tokenizer, vocabulary: number): MaskTokens | undefined {
  const { startId, endId, maskId } = tokenizer;
  if (startId === undefined || endId === undefined || maskId === undefined) return undefined;
  tokenizer.requireEmbedded([startId, endId, maskId]);
  return { start: startId, end: endId, mask: maskId, vocabulary };
}
