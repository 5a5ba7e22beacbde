import { join } from "node:path";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/json.ts";
import { readText } from "./files.ts";

/** The largest vocabularies (256 000 tokens with merges) make files of 35 MB. */
export const MAX_TOKENIZER_BYTES = 128 * 1024 * 1024;

/** What is used of the library's class; the types that it ships can't be resolved by TypeScript's NodeNext rules. */
interface Hub {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  readonly model: {
    readonly unk_token_id: number | undefined;
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    /** Splits a piece into characters and merges them; only the BPE model has it. */
    bpe(piece: string): string[];
  };
}

const TITLE = "The tokenizer can't be loaded";

/** Text to token ids, as transformers' `AutoTokenizer` of the same folder does it. */
export interface Tokenizer {
  /** With the special tokens that the model's tokenizer adds. */
  encode(text: string): number[];
  /** Without them: a piece of a longer text. */
  encodePiece(text: string): number[];
  decode(ids: readonly number[]): string;
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
 * Loads `tokenizer.json` and, if it is there, `tokenizer_config.json` of a model folder.
 *
 * @throws ProblemError if they are missing or can't be used
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const read = async (name: string) => {
    const path = join(folder, name);
    return parseJson(await readText(path, MAX_TOKENIZER_BYTES), path, TITLE) as Record<string, unknown>;
  };
  const definition = await read("tokenizer.json");
  const config = await read("tokenizer_config.json").catch((error: unknown) => {
    if (error instanceof ProblemError && isMissing(error.cause)) return {};
    throw error;
  });
  try {
    return createTokenizer(definition, config);
  } catch (cause) {
    throw new ProblemError(TITLE, `${folder}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

/**
 * @param definition the object of `tokenizer.json`
 * @param config the object of `tokenizer_config.json`
 * @throws Error of the tokenizer library for a definition that it can't use
 */
export function createTokenizer(definition: Record<string, unknown>, config: Record<string, unknown>): Tokenizer {
  const hub: Hub = isLlama(config) ? createLlama(definition, config) : new HubTokenizer(definition, config);
  const special = (name: string) => tokenText(config[`${name}_token`]);
  const idOf = (token: string | undefined) => (token === undefined ? undefined : hub.token_to_id(token));
  return {
    encode: (text) => hub.encode(text).ids,
    encodePiece: (text) => hub.encode(text, { add_special_tokens: false }).ids,
    decode: (ids) => (ids.length === 0 ? "" : hub.decode([...ids], { clean_up_tokenization_spaces: false })),
    idOf,
    unknownId: hub.model.unk_token_id,
    startId: idOf(special("bos") ?? special("cls")),
    endId: idOf(special("eos") ?? special("sep")),
    maskId: idOf(special("mask")),
    maskToken: special("mask"),
  };
}

/** In `tokenizer_config.json` a special token is its text or an object with its text. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

function isLlama(config: Record<string, unknown>): boolean {
  return config.tokenizer_class === "LlamaTokenizer" || config.tokenizer_class === "LlamaTokenizerFast";
}

/**
 * For these classes transformers 5 takes the vocabulary and merges of `tokenizer.json` and sets the rest itself: a space
 * is put before the text, not after every special token, and a character without a token or byte tokens is left out
 * *before* the merges, so that its neighbours can merge.
 */
function createLlama(definition: Record<string, unknown>, config: Record<string, unknown>): Hub {
  const model = definition.model as Record<string, unknown>;
  const prepend = config.add_prefix_space === false ? "never" : config.legacy === true ? "always" : "first";
  const hub: Hub = new HubTokenizer(
    {
      ...definition,
      normalizer: null,
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: prepend, split: false },
      model: { ...model, unk_token: null, fuse_unk: true, byte_fallback: true },
    },
    config,
  );
  const { model: bpe } = hub;
  if (!bpe.tokens_to_ids.has("<0x00>")) {
    const merge = bpe.bpe.bind(bpe);
    const known = (character: string) => bpe.tokens_to_ids.has(character);
    bpe.bpe = (piece) => merge(Array.from(piece).filter(known).join(""));
  }
  return hub;
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

/** The tokens that masking needs, undefined if the tokenizer lacks one of them. */
export function maskTokens({ startId, endId, maskId }: Tokenizer, vocabulary: number): MaskTokens | undefined {
  if (startId === undefined || endId === undefined || maskId === undefined) return undefined;
  return { start: startId, end: endId, mask: maskId, vocabulary };
}
