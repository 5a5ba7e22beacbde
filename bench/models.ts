import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Value } from "../shared/graph/engine.ts";
import { type Checkpoint, frozenWeights, openCheckpoint } from "../shared/models/checkpoint.ts";
import { gpt2 } from "../shared/models/gpt2.ts";
import type { Model } from "../shared/models/model.ts";
import { writeCheckpoint } from "../shared/models/write-checkpoint.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";

/** GPT-2 small's size. */
export const WIDTH = 768;
export const VOCABULARY = 50_257;

/** A GPT-2 with random weights and so many layers, made in the folder when it is wanted first. */
export async function randomGpt2(folder: string, layers: number): Promise<{ checkpoint: Checkpoint; model: Model }> {
  const path = join(folder, `gpt2-${layers}l`);
  if (!(await stat(join(path, "model.safetensors")).catch(() => undefined))) await make(path, layers);
  const checkpoint = await openCheckpoint(path);
  return { checkpoint, model: checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint)) };
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
}
