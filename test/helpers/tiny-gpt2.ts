import { readFileSync } from "node:fs";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import type { Model } from "../../shared/models/model.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import { fixture } from "./fixtures.ts";
import { goldenTensors } from "./golden.ts";

/** What PyTorch gives for the tiny GPT-2 (test/shared/models/golden/make_gpt2.py): its inputs and tensors. */
export const golden = JSON.parse(readFileSync(new URL("../shared/models/golden/golden.json", import.meta.url), "utf8"));
export const tensor = goldenTensors(new URL("../shared/models/golden/golden.safetensors", import.meta.url));

/** The batch's rows without their padding, with their labels. */
export const examples = (golden.batch.lengths as number[]).map((length, row) => ({
  ids: Int32Array.from(golden.batch.ids[row].slice(0, length)),
  readAt: length - 1,
  label: golden.labels[row] as number,
}));

/** The tiny GPT-2, or another model folder, with frozen weights. */
export async function tinyModel(folder = fixture("tiny-gpt2")): Promise<Model> {
  const checkpoint = await openCheckpoint(folder);
  return checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint));
}
