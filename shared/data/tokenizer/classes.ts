/**
 * What the tokenizer classes of transformers 5.18 take from tokenizer.json, and what they set themselves (`__init__` in the tokenization_*.py of
 * each model; `convert_to_native_format` in tokenization_utils_tokenizers.py). A class takes the vocabulary, the merges and, unless it
 * says otherwise, the post-processor.
 */
import type { Json } from "./files.ts";

/** The kind of a tokenizer's model, as tokenizer.json calls it. */
export type ModelType = "BPE" | "WordPiece" | "Unigram" | "WordLevel";

/** What a class makes of the files. */
interface Rules {
  readonly model: ModelType;
  /** Works on bytes: tokenizer.json must, too. */
  readonly bytes?: true;
  /** Special tokens where the config doesn't speak of them; null for one that the class knows and hasn't. */
  readonly tokens: Readonly<Record<string, string | null>>;
  /** The parts of a tokenizer.json that the class sets. */
  define(file: Json, settings: Settings): { readonly model: Json } & Json;
  /** Its own post-processor; null for none. Without this function the file's stays. */
  readonly post?: (token: (name: string) => readonly [string, number]) => Json | null;
  /** Adds every special token once more, as one that isn't looked for in the normalised text. */
  readonly addsAll?: true;
}

/** The config's switches. */
export class Settings {
  readonly #config: Json;
  constructor(config: Json) {
    this.#config = config;
  }

  /**
   * @param otherwise where the config doesn't have it
   * @param none where it is null; without this a null is refused, as transformers does
   */
  flag<T>(name: string, otherwise: boolean | T, none?: boolean | T): boolean | T {
    const value = Object.hasOwn(this.#config, name) ? this.#config[name] : otherwise;
    if (typeof value === "boolean" || (value === otherwise && !Object.hasOwn(this.#config, name)))
      return value as boolean | T;
    if (value === null && none !== undefined) return none;
    throw new Error(`${name} in tokenizer_config.json is neither true nor false`);
  }
}

const bpe = ({ model }: Json, more: Json): Json => ({
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: "",
  end_of_word_suffix: "",
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
  ...more,
  vocab: (model as Json).vocab,
  merges: (model as Json).merges,
});

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
const byteLevel = (prefix: boolean, regex = true) => ({ ...BYTE_LEVEL, add_prefix_space: prefix, use_regex: regex });

const END = "<|endoftext|>";
const SENTENCES = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };
const MASKED = { ...SENTENCES, sep_token: "</s>", cls_token: "<s>", pad_token: "<pad>", mask_token: "<mask>" };

const QWEN2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The post-processor that puts a token before a text and one after it. */
function around([before, first]: readonly [string, number], [after, last]: readonly [string, number]): Json {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const tokens = [
    [before, first],
    [after, last],
  ] as const;
  return {
    type: "TemplateProcessing",
    single: [special(before), text("A"), special(after)],
    pair: [special(before), text("A"), special(after), text("B"), special(after)],
    special_tokens: Object.fromEntries(tokens.map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }])),
  };
}

/** The first table of characters in a normaliser. */
function characterTable(normalizer: unknown): Json | null {
  const { type, normalizers } = (normalizer ?? {}) as Json;
  const steps = type === "Sequence" ? (normalizers as Json[]) : [normalizer as Json | null];
  return steps.find((step) => step?.type === "Precompiled") ?? null;
}

export const CLASSES: Readonly<Record<string, Rules>> = {
  GPT2Tokenizer: {
    model: "BPE",
    bytes: true,
    tokens: { bos_token: END, eos_token: END, unk_token: END, pad_token: null },
    define: (file, settings) => ({
      model: bpe(file, {}),
      normalizer: null,
      pre_tokenizer: byteLevel(settings.flag("add_prefix_space", false)),
      decoder: BYTE_LEVEL,
    }),
  },
  GPTNeoXTokenizer: {
    model: "BPE",
    bytes: true,
    tokens: { bos_token: END, eos_token: END, unk_token: END, pad_token: "<|padding|>" },
    define: (file, settings) => ({
      model: bpe(file, {}),
      normalizer: { type: "NFC" },
      pre_tokenizer: byteLevel(settings.flag("add_prefix_space", false)),
      decoder: BYTE_LEVEL,
    }),
    post: () => null,
  },
  Qwen2Tokenizer: {
    model: "BPE",
    bytes: true,
    tokens: { eos_token: END, unk_token: END, pad_token: END },
    define: (file, settings) => ({
      model: bpe(file, {}),
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: QWEN2 }, behavior: "Isolated", invert: false },
          byteLevel(settings.flag("add_prefix_space", false, false), false),
        ],
      },
      decoder: BYTE_LEVEL,
    }),
    addsAll: true,
  },
  RobertaTokenizer: {
    model: "BPE",
    bytes: true,
    tokens: MASKED,
    define: (file, settings) => ({
      model: bpe(file, {}),
      normalizer: null,
      pre_tokenizer: byteLevel(settings.flag("add_prefix_space", false)),
      decoder: BYTE_LEVEL,
    }),
    post: (token) => around(token("cls_token"), token("sep_token")),
  },
  XLMRobertaTokenizer: {
    model: "Unigram",
    tokens: MASKED,
    define({ model, normalizer }, settings) {
      const scheme = settings.flag("add_prefix_space", true) ? "always" : "never";
      const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: true };
      return {
        model: { type: "Unigram", unk_id: 3, vocab: (model as Json).vocab, byte_fallback: false },
        normalizer: characterTable(normalizer),
        pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
        decoder: metaspace,
      };
    },
    post: (token) => around(token("bos_token"), token("eos_token")),
  },
  BertTokenizer: {
    model: "WordPiece",
    tokens: {
      unk_token: "[UNK]",
      sep_token: "[SEP]",
      pad_token: "[PAD]",
      cls_token: "[CLS]",
      mask_token: "[MASK]",
    },
    define: ({ model }, settings) => ({
      model: {
        type: "WordPiece",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: (model as Json).vocab,
      },
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: settings.flag("tokenize_chinese_chars", true),
        strip_accents: settings.flag("strip_accents", null, null),
        lowercase: settings.flag("do_lower_case", true),
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    }),
    post: (token) => around(token("cls_token"), token("sep_token")),
  },
  LlamaTokenizer: {
    model: "BPE",
    tokens: SENTENCES,
    define(file, settings) {
      const prefix = settings.flag("add_prefix_space", true, true);
      const scheme = prefix ? (settings.flag("legacy", false, false) ? "always" : "first") : "never";
      const bare = { continuing_subword_prefix: null, end_of_word_suffix: null };
      return {
        model: bpe(file, { ...bare, fuse_unk: true, byte_fallback: true }),
        normalizer: null,
        pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false },
        decoder: {
          type: "Sequence",
          decoders: [
            { type: "Replace", pattern: { String: "▁" }, content: " " },
            { type: "ByteFallback" },
            { type: "Fuse" },
            ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
          ],
        },
      };
    },
  },
};
