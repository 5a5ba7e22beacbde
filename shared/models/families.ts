import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import type { Family } from "./model.ts";
import { roberta } from "./roberta.ts";

/** The models that softpost can compute: which family each `model_type` of config.json is of. */
export const families: Readonly<Record<string, Family>> = {
  gpt2: gpt2 as Family,
  llama: llama as Family,
  mistral: llama as Family,
  qwen2: llama as Family,
  qwen3: llama as Family,
  smollm3: llama as Family,
  roberta: roberta as Family,
  "xlm-roberta": roberta as Family,
  bert: roberta as Family,
};
