import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Value } from "../graph/engine.ts";
import { safetensorsPieces } from "../prompt/safetensors.ts";

/** Weights beyond this go into a further file, as readers of large models expect. */
const SHARD_BYTES = 2 ** 31;

/**
 * Writes config.json and model.safetensors (float32), or its shards with their index, into a folder, as transformers reads
 * them.
 * @param json config.json, `model_type` included
 * @param weights by their names in the checkpoint
 * @param shardBytes largest file, unless a single weight is larger
 */
export async function writeCheckpoint(
  folder: string,
  json: Readonly<Record<string, unknown>>,
  weights: Readonly<Record<string, Value>>,
  shardBytes = SHARD_BYTES,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), `${JSON.stringify(json, null, 2)}\n`);
  const shards = divide(Object.entries(weights), shardBytes);
  const map: Record<string, string> = Object.create(null);
  for (const [index, shard] of shards.entries()) {
    const number = (value: number) => String(value).padStart(5, "0");
    const name = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    const tensors = shard.map(([name, { shape, data }]) => ({ name, shape, data: data as Float32Array }));
    const file = shards.length === 1 ? "model.safetensors" : name;
    await writeFile(join(folder, file), safetensorsPieces(tensors, { format: "pt" }));
    for (const [weight] of shard) map[weight] = name;
  }
  if (shards.length === 1) return;
  const total = Object.values(weights).reduce((sum, { data }) => sum + data.byteLength, 0);
  const index = { metadata: { total_size: total }, weight_map: map };
  await writeFile(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
}

/** The weights in order, cut before one that would make a file too large. */
function divide(weights: readonly [string, Value][], shardBytes: number): [string, Value][][] {
  const shards: [string, Value][][] = [[]];
  let bytes = 0;
  for (const weight of weights) {
    bytes += weight[1].data.byteLength;
    if (bytes > shardBytes && shards.at(-1)!.length > 0) {
      shards.push([]);
      bytes = weight[1].data.byteLength;
    }
    shards.at(-1)!.push(weight);
  }
  return shards;
}
