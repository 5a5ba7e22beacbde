import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyTokenizer } from "../shared/data/model-files.ts";
import type { Value } from "../shared/graph/engine.ts";
import { gpt2 } from "../shared/models/gpt2.ts";
import { writeCheckpoint } from "../shared/models/write-checkpoint.ts";
import { type OpenModel, openModel } from "../shared/operations/open-model.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";

/** GPT-2 small's size. */
export const WIDTH = 768;
export const VOCABULARY = 50_257;

/** The demo's: what is timed is made of ids, so any tokenizer will do. */
const TOKENIZER = fileURLToPath(new URL("../demo/model", import.meta.url));

/** A GPT-2 with random weights and so many layers, made in the folder when it is wanted first. */
export async function randomGpt2(folder: string, layers: number): Promise<OpenModel> {
  const path = join(folder, `gpt2-${layers}l`);
  if (!(await stat(join(path, "model.safetensors")).catch(() => undefined))) await make(path, layers);
  // What it is called and the digest of its files count for nothing here.
  return openModel(path, { id: `gpt2-${layers}l`, digest: "" });
}

async function make(path: string, layers: number): Promise<void> {
  const json = {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    n_layer: layers,
    n_embd: WIDTH,
    n_head: 12,
    n_positions: 1024,
    vocab_size: VOCABULARY,
    bos_token_id: 0,
    eos_token_id: 0,
  };
  const weights: Record<string, Value> = {};
  for (const [index, [name, shape]] of Object.entries(gpt2.parameters(gpt2.configure(json))).entries()) {
    const draws = new Draws(seededRandom(index));
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const norm = shape.length === 1 && name.endsWith("weight") ? 1 : 0;
    // As wide as normal draws of deviation 0.02; a table of them, since a hundred million draws take a minute.
    const table = Float32Array.from({ length: 4093 }, () => norm + 0.07 * (draws.uniform53() - 0.5));
    for (let i = 0; i < data.length; i++) data[i] = table[(i * 7 + (i >> 12)) % 4093]!;
    weights[name] = { shape, data };
  }
  await writeCheckpoint(path, json, weights);
  await copyTokenizer(TOKENIZER, path);
}
