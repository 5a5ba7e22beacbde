import { gpt2 } from "./gpt2.ts";
import type { Family } from "./model.ts";

/** The model families that softpost can compute, by `model_type` of config.json. */
export const families: Readonly<Record<string, Family>> = { gpt2: gpt2 as Family };
