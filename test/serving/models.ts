/** Models that serving processes of tests have. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Value } from "../../shared/graph/engine.ts";
import { gpt2 } from "../../shared/models/gpt2.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import type { Task } from "../../shared/protocol/task.ts";

/** A text is gone on with, for eight tokens. */
export const GO_ON: Task = {
  name: "go-on",
  kind: "generation",
  template: "{text}",
  target: " {target}",
  stop: [],
  init: "t1 t2",
  maxLength: 10,
  maxNewTokens: 8,
};

const GOLDEN = new URL("../shared/training/golden/generation/", import.meta.url);

/** A tokenizer whose token i is the word "ti". */
function writeTokenizer(folder: string, size: number, config: object = {}): void {
  const vocab = Object.fromEntries(Array.from({ length: size }, (_, i) => [`t${i}`, i]));
  const definition = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab, unk_token: "t0" },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(definition));
  const own = { tokenizer_class: "PreTrainedTokenizerFast", ...config };
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(own));
}

/** A model of which PEFT's generate is known (make_generation.py), with a tokenizer. */
export function goldenModel(folder: string, name: string, config: object = {}): string {
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "model.safetensors"]) {
    cpSync(fileURLToPath(new URL(`${name}/${file}`, GOLDEN)), join(folder, file));
  }
  writeTokenizer(folder, 40, config);
  return folder;
}

export const goldenOf = (name: string) => new URL(`${name}/golden.safetensors`, GOLDEN);

/** A random model with many positions, so that answers take long; it has no end token. */
export async function longModel(folder: string, positions = 2048): Promise<string> {
  const [width, vocabulary] = [64, 40];
  const json = {
    model_type: "gpt2",
    n_layer: 2,
    n_embd: width,
    n_head: 4,
    n_positions: positions,
    vocab_size: vocabulary,
  };
  const weights: Record<string, Value> = {};
  for (const [index, [name, shape]] of Object.entries(gpt2.parameters(gpt2.configure(json))).entries()) {
    const draws = new Draws(seededRandom(index));
    const norm = shape.length === 1 && name.endsWith("weight") ? 1 : 0;
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => norm + draws.uniform53() - 0.5);
    weights[name] = { shape, data };
  }
  await writeCheckpoint(folder, json, weights);
  writeTokenizer(folder, vocabulary);
  return folder;
}
