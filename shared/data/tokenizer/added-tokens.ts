/**
 * The tokens that a tokenizer has beside its model's vocabulary, from the four files that may name them, as transformers 5.18 puts them together
 * (`_from_pretrained` in tokenization_utils_base.py, `TokenizersBackend.__init__` in tokenization_utils_tokenizers.py).
 */
import { isObject, type Json, type TokenizerFiles } from "./files.ts";

/** A token that is found in a text before all else, and how. The names are those of tokenizer.json. */
export interface AddedToken {
  readonly content: string;
  /** Not inside a word. */
  readonly single_word: boolean;
  /** Takes the white space before it along; and after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Is looked for in the normalised text. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** transformers keeps a token that was given as its text alone apart from one that was given whole. */
type Given = string | AddedToken;

/** What the files say about added and special tokens. */
export interface SpecialTokens {
  /** By what the config calls them: `bos_token` and the like. */
  readonly named: ReadonlyMap<string, Given>;
  readonly extra: readonly Given[];
  /** From `added_tokens_decoder` or the older files, by ascending id. */
  readonly listed: readonly AddedToken[];
}

const NAMES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/**
 * Gathers what the files say.
 *
 * @param defaults tokens that the class has where the config doesn't speak of them
 * @throws Error for what transformers doesn't take
 */
export function readSpecialTokens(files: TokenizerFiles, defaults: Readonly<Record<string, unknown>>): SpecialTokens {
  const values = new Map(Object.entries(files.config));
  const listed = new Map<number, AddedToken>();
  move(values, "additional_special_tokens", "extra_special_tokens");
  const own = takeModelTokens(values);
  const decoder = values.get("added_tokens_decoder");
  if (decoder === undefined) readOldFiles(files, values, listed);
  else for (const [id, token] of Object.entries(decoder as Json)) listed.set(Number(id), addedToken(token as Json));

  const byContent = new Map([...listed.values()].map((token) => [token.content, token]));
  const named = new Map<string, Given>();
  for (const name of NAMES) {
    const value = given(values.has(name) ? values.get(name) : defaults[name], name);
    if (value !== undefined) named.set(name, byContent.get(textOf(value)) ?? value);
  }
  const list = values.has("extra_special_tokens") ? "extra_special_tokens" : "additional_special_tokens";
  const extra = values.get(list) ?? [];
  if (!Array.isArray(extra)) throw new Error("extra_special_tokens is not a list");
  for (const [name, value] of values) {
    if (name.endsWith("_token") && !NAMES.includes(name) && (typeof value === "string" || isTyped(value)))
      named.set(name, given(value, name)!);
  }
  for (const [name, value] of own) named.set(name, given(value, name)!);
  return {
    named,
    extra: extra.map((value) => given(value, "extra_special_tokens")).filter((value) => value !== undefined),
    listed: [...listed].sort(([a], [b]) => a - b).map(([, token]) => token),
  };
}

function move(values: Map<string, unknown>, from: string, to: string): void {
  const there = values.get(to);
  if (!values.has(from) || (Array.isArray(there) ? there.length > 0 : Boolean(there))) return;
  values.set(to, values.get(from));
  values.delete(from);
}

/** Takes out tokens with names of the model's own: `image_token` and the like, and an `extra_special_tokens` that has names. */
function takeModelTokens(values: Map<string, unknown>): Map<string, unknown> {
  const own = new Map<string, unknown>();
  for (const [name, value] of [...values]) {
    if (!name.endsWith("_token") || NAMES.includes(name) || typeof value !== "string") continue;
    own.set(name, value);
    values.delete(name);
  }
  for (const name of ["extra_special_tokens", "model_specific_special_tokens"]) {
    const value = values.get(name);
    if (!isObject(value)) continue;
    values.delete(name);
    if (name === "model_specific_special_tokens" && own.size > 0) continue;
    for (const [key, token] of Object.entries(value)) own.set(key, token);
  }
  return own;
}

/** special_tokens_map.json, added_tokens.json and tokenizer.json itself, where tokenizer_config.json has no `added_tokens_decoder`. */
function readOldFiles(
  { specialTokens = {}, addedTokens = {}, definition }: TokenizerFiles,
  values: Map<string, unknown>,
  listed: Map<number, AddedToken>,
): void {
  for (const [name, value] of Object.entries(specialTokens)) {
    if (name === "extra_special_tokens" && Array.isArray(value)) {
      const before = (values.get(name) ?? []) as unknown[];
      const more = value.map((token) => (isObject(token) ? whole(addedToken({ ...token, special: true })) : token));
      values.set(name, [...before, ...more.filter((token) => !before.some((other) => isSame(other, token)))]);
    } else values.set(name, isObject(value) ? whole(addedToken({ ...value, special: true })) : value);
  }
  const extra = values.get("extra_special_tokens");
  if (isObject(extra)) throw new Error("special_tokens_map.json has extra_special_tokens with names");
  // transformers compares texts before it reads the tokens that tokenizer_config.json has as objects.
  const isText = (name: string) => typeof values.get(name) === "string" || name in specialTokens;
  const texts = [...NAMES.filter(isText).map((name) => values.get(name)), ...((extra ?? []) as unknown[])];
  const special = new Set(texts.filter((value) => value != null).map((value) => textOf(value as Given)));
  for (const [content, id] of Object.entries(addedTokens)) {
    if (typeof id !== "number") throw new Error(`added_tokens.json has no number for ${JSON.stringify(content)}`);
    listed.set(id, addedToken({ content, special: special.has(content), normalized: !special.has(content) }));
  }
  for (const token of (definition.added_tokens ?? []) as Json[]) listed.set(Number(token.id), addedToken(token));
}

/** `AddedToken(**fields)` in Python. */
function addedToken(fields: Json): AddedToken {
  const { content } = fields;
  if (typeof content !== "string") throw new Error("an added token has no content");
  const flag = (name: string, otherwise: boolean) => {
    const value = fields[name] ?? otherwise;
    if (typeof value !== "boolean")
      throw new Error(`${name} of the added token ${JSON.stringify(content)} is not true or false`);
    return value;
  };
  const special = flag("special", false);
  return {
    content,
    single_word: flag("single_word", false),
    lstrip: flag("lstrip", false),
    rstrip: flag("rstrip", false),
    normalized: flag("normalized", !special),
    special,
  };
}

/** As tokenizer_config.json writes a token that is more than its text. */
function whole(token: AddedToken): Json {
  return { ...token, __type: "AddedToken" };
}

function isTyped(value: unknown): value is Json {
  return isObject(value) && value.__type === "AddedToken";
}

function given(value: unknown, name: string): Given | undefined {
  if (value == null) return undefined;
  if (typeof value === "string") return value;
  if (isTyped(value)) return addedToken(value);
  throw new Error(`${name} is neither a text nor an AddedToken`);
}

/** The text of a token. */
export function textOf(token: Given | Json): string {
  return typeof token === "string" ? token : String(token.content);
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return JSON.stringify(addedToken(a as Json)) === JSON.stringify(addedToken(b as Json));
}

/**
 * The tokens that a tokenizer adds, in the order in which it does, which decides ids and what is found first.
 *
 * @param before those that it has already
 */
export function tokensToAdd(before: readonly AddedToken[], { named, extra, listed }: SpecialTokens): AddedToken[] {
  const known = new Set([...before, ...listed].map(({ content }) => content));
  const others = new Map<string, Given>();
  for (const token of [...named.values(), ...extra]) {
    if (!known.has(textOf(token))) others.set(JSON.stringify(token), token);
  }
  const added: Given[] = [...listed, ...others.values()];
  const names = new Set([...named.values()].map(textOf));
  return added.map((token) => {
    if (typeof token === "string") return addedToken({ content: token, special: true });
    return { ...token, special: token.special || names.has(token.content) };
  });
}

/** Every special token once, as `all_special_tokens` has them. */
export function allSpecial({ named, extra }: SpecialTokens): AddedToken[] {
  const texts = new Set([...named.values(), ...extra].map(textOf));
  return [...texts].map((content) => addedToken({ content, special: true }));
}

/** A model's vocabulary, as far as ids of added tokens depend on it. */
export interface Vocabulary {
  readonly size: number;
  idOf(token: string): number | undefined;
}

/** @param vocab of tokenizer.json's model: an object with ids, or Unigram's list of tokens with scores */
export function vocabularyOf(vocab: unknown): Vocabulary {
  if (Array.isArray(vocab)) {
    const ids = new Map(vocab.map(([token], id) => [token as string, id]));
    return { size: vocab.length, idOf: (token) => ids.get(token) };
  }
  const ids = (vocab ?? {}) as Readonly<Record<string, number>>;
  return { size: Object.keys(ids).length, idOf: (token) => (Object.hasOwn(ids, token) ? ids[token] : undefined) };
}

/** The ids that the library gives to added tokens: the vocabulary's, or the next ones after it. */
export function withIds(tokens: readonly AddedToken[], vocabulary: Vocabulary): (AddedToken & { id: number })[] {
  const ids = new Map<string, number>();
  let last = -1;
  return tokens.map((token) => {
    const id =
      ids.get(token.content) ??
      vocabulary.idOf(token.content) ??
      (last >= vocabulary.size ? last + 1 : vocabulary.size);
    ids.set(token.content, id);
    last = Math.max(last, id);
    return { ...token, id };
  });
}

/** The added tokens of tokenizer.json after it was read and written once, as transformers does: by id, the last of equal ones. */
export function fileTokens({ added_tokens: tokens }: Json, vocabulary: Vocabulary): AddedToken[] {
  const numbered = withIds(((tokens ?? []) as Json[]).map(addedToken), vocabulary);
  const byId = new Map(numbered.map((token) => [token.id, token]));
  return [...byId.values()].sort((a, b) => a.id - b.id).map(({ id: _, ...token }) => token);
}
