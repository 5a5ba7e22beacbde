import { ProblemError } from "../../protocol/errors.ts";
import {
  allSpecial,
  fileTokens,
  readSpecialTokens,
  type SpecialTokens,
  textOf,
  tokensToAdd,
  vocabularyOf,
  withIds,
} from "./added-tokens.ts";
import { AS_THE_FILE, classOf } from "./class-of.ts";
import { CLASSES, type ModelType, Settings } from "./classes.ts";
import { isObject, type Json, readTokenizerFiles, TITLE, type TokenizerFiles } from "./files.ts";

/** A tokenizer as one object in the form of tokenizer.json that needs no other file, and what its special tokens are called. */
export interface Resolved {
  readonly definition: Json;
  /** The text of a special token by its name in the config (`bos_token`). */
  readonly named: ReadonlyMap<string, string>;
  /** The id of what stands for text that has no token. */
  readonly unknownId: number | undefined;
  /** Whether decoded text is to be cleaned (`clean_up_tokenization_spaces`). */
  readonly cleansUp: boolean;
  /** How many tokens the model has embeddings for; infinite if its config.json doesn't say so. */
  readonly embeddings: number;
}

/**
 * A folder's tokenizer, with all that its files say.
 *
 * @param model config.json of the model that it is used with, if that isn't the folder's
 * @throws ProblemError if files are missing, or for what can't be done as transformers does it, by its name
 */
export async function resolveTokenizer(folder: string, model?: Json): Promise<Resolved> {
  const files = await readTokenizerFiles(folder, model);
  try {
    return resolveDefinition(files);
  } catch (cause) {
    throw notLoaded(folder, cause);
  }
}

/** What a folder's tokenizer can't be loaded for. */
export function notLoaded(folder: string, cause: unknown): ProblemError {
  return new ProblemError(TITLE, `${folder}: ${cause instanceof Error ? cause.message : cause}`, { cause });
}

/**
 * What transformers' `AutoTokenizer` makes of a folder's files: its class's own parts in place of the file's, and the tokens that other files add.
 *
 * @throws Error for what can't be done as transformers does it, by its name
 */
function resolveDefinition(files: TokenizerFiles): Resolved {
  refuse(files);
  const { definition, config } = files;
  const name = usedClass(files);
  const rules = name === AS_THE_FILE ? undefined : CLASSES[name]!;
  // A section on padding pads nothing here, but its token becomes a special one.
  const padding = isObject(definition.padding) ? { pad_token: definition.padding.pad_token } : {};
  const special = readSpecialTokens(files, { ...padding, ...rules?.tokens });
  const own = rules?.define(definition, new Settings(config));
  const model = own?.model ?? (definition.model as Json);
  const vocabulary = vocabularyOf(model.vocab);
  const before = rules ? [] : fileTokens(definition, vocabulary);
  const added = [...before, ...tokensToAdd(before, special), ...(rules?.addsAll ? allSpecial(special) : [])];
  const numbered = withIds(added, vocabulary);
  const idOf = (token: string) => numbered.find(({ content }) => content === token)?.id ?? vocabulary.idOf(token);
  const unknown = rules?.model === "WordPiece" ? { unk_token: tokenNamed(special, "unk_token") } : {};
  const post = rules?.post?.((token) => [tokenNamed(special, token), idOf(tokenNamed(special, token))!]);
  return {
    definition: {
      ...definition,
      ...own,
      model: { ...model, ...unknown },
      ...(post !== undefined && { post_processor: post }),
      added_tokens: numbered,
      truncation: null,
      padding: null,
    },
    named: new Map([...special.named].map(([key, token]) => [key, textOf(token)])),
    unknownId: unknownOf({ ...model, ...unknown }, idOf),
    cleansUp: config.clean_up_tokenization_spaces === true && !("merges" in model),
    embeddings: Number(files.model.vocab_size ?? Infinity),
  };
}

/** transformers corrects the regular expression of vocabularies above 100 000; how many of these are added tokens isn't worth counting. */
const MOST_ADDED = 10_000;

/** What changes ids and neither the library nor the rules here can do. */
function refuse({ definition, config }: TokenizerFiles): void {
  if (!isObject(definition.model)) throw new Error("tokenizer.json has no model");
  if (config.split_special_tokens === true) throw new Error("split_special_tokens in tokenizer_config.json is true");
  const size = vocabularyOf(definition.model.vocab).size;
  if (config.fix_mistral_regex === true && size > 100_000 - MOST_ADDED)
    throw new Error("fix_mistral_regex in tokenizer_config.json is true");
  const { fast_tokenizer_files: others, init_inputs: inputs } = config;
  if (Array.isArray(others) && others.some((file) => file !== "tokenizer.json"))
    throw new Error("fast_tokenizer_files in tokenizer_config.json names other files");
  if (Array.isArray(inputs) && inputs.length > 0) throw new Error("tokenizer_config.json has init_inputs");
}

/**
 * The class whose rules count. Where the file works on bytes, Llama's class does not: transformers applies it nevertheless and so
 * loses spaces and letters (its issue 45488), while the models were trained with the file.
 */
function usedClass(files: TokenizerFiles): string {
  const name = classOf(files, Object.keys(CLASSES));
  const rules = CLASSES[name];
  if (!rules) return AS_THE_FILE;
  const bytes = worksOnBytes(files.definition);
  if (name === "LlamaTokenizer" && bytes) return AS_THE_FILE;
  const type = modelType(files.definition.model as Json);
  const fault =
    type !== rules.model
      ? `takes a ${rules.model} model, tokenizer.json has ${type}`
      : rules.bytes && !bytes && "works on bytes, tokenizer.json doesn't";
  if (fault) {
    const advice = "If the file is right, set tokenizer_class in tokenizer_config.json to PreTrainedTokenizerFast";
    throw new Error(`the class that transformers takes for it, ${name}, ${fault}. ${advice}`);
  }
  return name;
}

/** Files of old have no type. */
function modelType({ type, vocab, merges }: Json): ModelType {
  if (type !== undefined) return type as ModelType;
  if (Array.isArray(vocab)) return "Unigram";
  return merges === undefined ? "WordPiece" : "BPE";
}

function worksOnBytes({ pre_tokenizer, normalizer }: Json): boolean {
  const steps = (step: unknown): Json[] => {
    if (!isObject(step)) return [];
    return [
      step,
      ...[step.pretokenizers, step.normalizers].flatMap((more) => (Array.isArray(more) ? more.flatMap(steps) : [])),
    ];
  };
  return [...steps(pre_tokenizer), ...steps(normalizer)].some(({ type }) => type === "ByteLevel");
}

function tokenNamed({ named }: SpecialTokens, name: string): string {
  const token = named.get(name);
  if (token === undefined)
    throw new Error(`tokenizer_config.json says that there is no ${name}, and the class needs one`);
  return textOf(token);
}

function unknownOf(
  { unk_token: token, unk_id: id }: Json,
  idOf: (token: string) => number | undefined,
): number | undefined {
  if (typeof id === "number") return id;
  return typeof token === "string" ? idOf(token) : undefined;
}
