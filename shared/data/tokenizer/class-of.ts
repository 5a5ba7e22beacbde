/** Which of its tokenizer classes transformers 5.18 takes for a folder (`AutoTokenizer.from_pretrained`). */
import { quote } from "../../protocol/json.ts";
import { isObject, type TokenizerFiles } from "./files.ts";

/** A class that computes by tokenizer.json as it is. */
export const AS_THE_FILE = "TokenizersBackend";

/** The class that a model type has if tokenizer_config.json names none; where it names another one, that one counts, but for `FORCED`. */
const CLASS_OF_TYPE: Readonly<Record<string, string>> = {
  bert: "BertTokenizer",
  gpt2: "GPT2Tokenizer",
  mistral: AS_THE_FILE,
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  roberta: "RobertaTokenizer",
  "xlm-roberta": "XLMRobertaTokenizer",
};

/** Model types whose files on the hub name wrong classes. */
const FORCED = ["qwen2"];

/** Other names for a class. */
const ALIASES: Readonly<Record<string, string>> = {
  BartTokenizer: "RobertaTokenizer",
  BloomTokenizer: AS_THE_FILE,
  DistilBertTokenizer: "BertTokenizer",
  LEDTokenizer: "RobertaTokenizer",
  LxmertTokenizer: "BertTokenizer",
  MobileBertTokenizer: "BertTokenizer",
  MvpTokenizer: "RobertaTokenizer",
  PreTrainedTokenizer: AS_THE_FILE,
  PythonBackend: AS_THE_FILE,
  SqueezeBertTokenizer: "BertTokenizer",
};

/** Classes with rules of their own that softpost hasn't. A name that is no class at all stands for the file as it is. */
const OTHERS = new Set(
  (
    "Albert Auto Barthez Bartpho Basic BertGeneration BertJapanese Bertweet BigBird BioGpt BlenderbotSmall Blenderbot ByT5 CLIP CTRL " +
    "Camembert Canine Character Clvp CodeGen CodeLlama Cohere ConvBert CpmAnt Cpm DPRContextEncoder DPRQuestionEncoder DPRReader Deberta " +
    "DebertaV2 Dia Esm Esmc FNet FSMT FastSpeech2Conformer Flaubert Funnel GPTNeoXJapanese GPTSw3 Gemma Herbert Lasr LayoutLMv2 " +
    "LayoutLMv3 LayoutXLM Luke M2M100 MBart50 MBart MLuke MPNet Marian MarkupLM Mecab Mgpstr MyT5 Nllb Nougat OpenAIGPT PLBart Parakeet " +
    "Pegasus Perceiver Phobert Pop2Piano ProphetNet Qwen3_5 Rag Reformer RemBert RoCBert RoFormer SeamlessM4T Siglip2 Siglip Speech2Text " +
    "SpeechT5 Splinter T5 Tapas Tipsv2 Udop VideoPrism Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper Wordpiece XGLM XLM XLNet"
  )
    .split(" ")
    .map((name) => `${name}Tokenizer`),
);

/**
 * @param known the classes whose rules are known
 * @returns one of them, or `AS_THE_FILE`
 * @throws Error for a class of transformers that isn't known, or code of the folder's own
 */
export function classOf({ config, model }: TokenizerFiles, known: readonly string[]): string {
  const type = String(model.model_type);
  const registered = Object.hasOwn(CLASS_OF_TYPE, type) ? CLASS_OF_TYPE[type] : undefined;
  const written = config.tokenizer_class ?? model.tokenizer_class ?? registered;
  // transformers doesn't run a folder's own code unless it is told to, and does without it where it has a class itself.
  const { auto_map: map } = config;
  const ownCode = Array.isArray(map) || (isObject(map) && map.AutoTokenizer != null);
  if (!ownCode && registered === AS_THE_FILE) return AS_THE_FILE;
  const named = String(written).replace(/Fast$/, "");
  const name = !ownCode && FORCED.includes(type) ? registered! : (ALIASES[named] ?? named);
  if (known.includes(name)) return name;
  if (OTHERS.has(name)) throw new Error(`its tokenizer_class is ${quote(named)}, whose rules softpost hasn't`);
  if (ownCode && registered === undefined)
    throw new Error("its tokenizer is code of its own (auto_map in tokenizer_config.json)");
  return AS_THE_FILE;
}
