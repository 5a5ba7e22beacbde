import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Checkpoint, openCheckpoint } from "../../shared/models/checkpoint.ts";
import { families } from "../../shared/models/families.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { seededRandom } from "../../shared/protocol/random.ts";

type Json = Readonly<Record<string, unknown>>;

const common = { vocab_size: 64, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64 };

/** One small model of each family: every operator that the families have is in one of their graphs. */
const TINY: readonly Json[] = [
  { model_type: "gpt2", vocab_size: 64, n_positions: 32, n_embd: 32, n_layer: 2, n_head: 4 },
  { model_type: "llama", ...common, num_key_value_heads: 2, max_position_embeddings: 32, tie_word_embeddings: true },
  { model_type: "roberta", ...common, max_position_embeddings: 40, pad_token_id: 1, type_vocab_size: 1 },
];

/** Writes a small model of each family with random weights. */
export async function tinyModels(folder: string): Promise<{ family: string; checkpoint: Checkpoint }[]> {
  const models = [];
  for (const json of TINY) {
    const path = join(folder, String(json.model_type));
    const random = seededRandom(1);
    const weights = Object.entries(shapesOf(json)).map(([name, shape]) => {
      const words = new Uint32Array(shape.reduce((a, b) => a * b, 1));
      random.fill(new Uint8Array(words.buffer));
      return [
        name,
        { shape: [...shape], data: Float32Array.from(words, (word) => (word / 2 ** 32 - 0.5) / 2) },
      ] as const;
    });
    await writeCheckpoint(path, json, Object.fromEntries(weights));
    models.push({ family: String(json.model_type), checkpoint: await openCheckpoint(path) });
  }
  return models;
}

/** Writes a GPT-2 of a size whose weights are all 0: a hole on the disk, as fast to compute with as any other numbers. */
export async function emptyModel(folder: string, json: Json): Promise<Checkpoint> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(json));
  let end = 0;
  const entries = Object.entries(shapesOf(json)).map(([name, shape]) => {
    const begin = end;
    end += 4 * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }] as const;
  });
  const header = JSON.stringify(Object.fromEntries(entries));
  const text = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = await open(join(folder, "model.safetensors"), "w");
  try {
    await file.write(Buffer.concat([length, text]), 0);
    await file.truncate(8 + text.length + end);
  } finally {
    await file.close();
  }
  return openCheckpoint(folder);
}

function shapesOf(json: Json): Readonly<Record<string, readonly number[]>> {
  const family = families[String(json.model_type)]!;
  return family.parameters(family.configure({ ...json }));
}
