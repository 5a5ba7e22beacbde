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
 * What transformers' classes take for special tokens where `tokenizer_config.json` doesn't name them, as in the folders of the first
 * GPT-2, BERT and RoBERTa models.
 */
const CLASS_TOKENS: Readonly<
  Record<string, { readonly start?: string; readonly end: string; readonly mask?: string }>
> = {
  GPT2Tokenizer: { start: "<|endoftext|>", end: "<|endoftext|>" },
  Qwen2Tokenizer: { end: "<|endoftext|>" },
  LlamaTokenizer: { start: "<s>", end: "</s>" },
  RobertaTokenizer: { start: "<s>", end: "</s>", mask: "<mask>" },
  XLMRobertaTokenizer: { start: "<s>", end: "</s>", mask: "<mask>" },
  BertTokenizer: { start: "[CLS]", end: "[SEP]", mask: "[MASK]" },
};

/** The class of a model type's tokenizer where `tokenizer_config.json` doesn't name one. */
const MODEL_CLASSES: Readonly<Record<string, string>> = {
  gpt2: "GPT2Tokenizer",
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  roberta: "RobertaTokenizer",
  "xlm-roberta": "XLMRobertaTokenizer",
  bert: "BertTokenizer",
};

/**
 * Loads `tokenizer.json` of a model folder and, if they are there, `tokenizer_config.json` and the model's type of `config.json`.
 *
 * @throws ProblemError if they are missing or can't be used
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const definition = await readObject(join(folder, "tokenizer.json"));
  const config = await readObject(join(folder, "tokenizer_config.json"), true);
  const { model_type: modelType } = await readObject(join(folder, "config.json"), true);
  try {
    return createTokenizer(definition, config, String(modelType));
  } catch (cause) {
    throw new ProblemError(TITLE, `${folder}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** @param optional whether a file that isn't there counts as an empty object */
async function readObject(path: string, optional = false): Promise<Readonly<Record<string, unknown>>> {
  try {
    const value = parseJson(await readText(path, MAX_TOKENIZER_BYTES), path, TITLE);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (optional && error instanceof ProblemError && isMissing(error.cause)) return {};
    throw error;
  }
  throw new ProblemError(TITLE, `${path} is not a JSON object.`);
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

/**
 * @param definition the object of `tokenizer.json`
 * @param config the object of `tokenizer_config.json`
 * @param modelType of `config.json`
 * @throws Error of the tokenizer library for a definition that it can't use
 */
function createTokenizer(
  definition: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
  modelType: string,
): Tokenizer {
  const { tokenizer_class: tokenizerClass = MODEL_CLASSES[modelType] } = config;
  const className = String(tokenizerClass).replace(/Fast$/, "");
  // For Mistral's models transformers takes the file as it is, though the class that they name is Llama's.
  const asLlama = className === "LlamaTokenizer" && modelType !== "mistral";
  const hub: Hub = asLlama ? createLlama(definition, config) : new HubTokenizer({ ...definition }, { ...config });
  const named = (name: string) => tokenText(config[`${name}_token`]);
  const usual = CLASS_TOKENS[className];
  const idOf = (token: string | undefined) => (token === undefined ? undefined : hub.token_to_id(token));
  const maskToken = named("mask") ?? usual?.mask;
  const maskId = idOf(maskToken);
  // Half a surrogate pair has no UTF-8 form.
  const encode = (text: string, special: boolean) =>
    hub.encode(text.toWellFormed(), { add_special_tokens: special }).ids;
  return {
    encode: (text) => encode(text, true),
    encodePiece: (text) => encode(text, false),
    decode: (ids) => (ids.length === 0 ? "" : hub.decode([...ids], { clean_up_tokenization_spaces: false })),
    idOf,
    unknownId: hub.model.unk_token_id,
    startId: idOf(named("bos") ?? named("cls") ?? usual?.start),
    endId: idOf(named("eos") ?? named("sep") ?? usual?.end),
    maskId,
    maskToken: maskId === undefined ? undefined : maskToken,
  };
}

/** In `tokenizer_config.json` a special token is its text or an object with its text. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/**
 * For this class transformers 5 takes the vocabulary and merges of `tokenizer.json` and sets the rest itself: a space
 * is put before the text, not after every special token, and a character without a token or byte tokens is left out
 * *before* the merges, so that its neighbours can merge.
 */
function createLlama(definition: Readonly<Record<string, unknown>>, config: Readonly<Record<string, unknown>>): Hub {
  const model = definition.model as Record<string, unknown>;
  const prepend = config.add_prefix_space === false ? "never" : config.legacy === true ? "always" : "first";
  const hub: Hub = new HubTokenizer(
    {
      ...definition,
      normalizer: null,
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: prepend, split: false },
      model: { ...model, unk_token: null, fuse_unk: true, byte_fallback: true },
    },
    { ...config },
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
