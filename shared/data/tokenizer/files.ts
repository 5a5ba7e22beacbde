import { join } from "node:path";
import { ProblemError } from "../../protocol/errors.ts";
import { parseJson } from "../../protocol/json.ts";
import { readText } from "../files.ts";

/** The largest vocabularies (256 000 tokens with merges) make files of 35 MB. */
export const MAX_TOKENIZER_BYTES = 128 * 1024 * 1024;

export const TITLE = "The tokenizer can't be loaded";

export type Json = Readonly<Record<string, unknown>>;

/** What a model folder says about its tokenizer; of the files that a folder may lack, undefined for one that it does. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly definition: Json;
  /** tokenizer_config.json */
  readonly config: Json;
  /** special_tokens_map.json and added_tokens.json, where transformers' older versions had what is in tokenizer_config.json now. */
  readonly specialTokens: Json | undefined;
  readonly addedTokens: Json | undefined;
  /** The model's config.json: its type decides what class a tokenizer has. */
  readonly model: Json;
}

/**
 * Reads the files of a folder's tokenizer.
 *
 * @param model the config.json of the model that the tokenizer is used with, if that isn't the folder's
 * @throws ProblemError if tokenizer.json is missing, or a file isn't a JSON object
 */
export async function readTokenizerFiles(folder: string, model?: Json): Promise<TokenizerFiles> {
  const optional = (name: string) => readObject(join(folder, name), true);
  const definition = (await readObject(join(folder, "tokenizer.json")))!;
  return {
    definition,
    config: (await optional("tokenizer_config.json")) ?? {},
    specialTokens: await optional("special_tokens_map.json"),
    addedTokens: await optional("added_tokens.json"),
    model: model ?? (await optional("config.json")) ?? {},
  };
}

/** @param optional whether a file that isn't there is undefined */
async function readObject(path: string, optional = false): Promise<Json | undefined> {
  try {
    const value = parseJson(await readText(path, MAX_TOKENIZER_BYTES), path, TITLE);
    if (isObject(value)) return value;
  } catch (error) {
    if (optional && error instanceof ProblemError && isMissing(error.cause)) return undefined;
    throw error;
  }
  throw new ProblemError(TITLE, `${path} is not a JSON object.`);
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}
