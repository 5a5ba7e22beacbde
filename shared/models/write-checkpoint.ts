import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Value } from "../graph/engine.ts";
import { encodeSafetensors } from "../prompt/safetensors.ts";

/**
 * Writes config.json and model.safetensors (float32) into a folder, as transformers reads them.
 * @param json config.json, `model_type` included
 * @param weights by their names in the checkpoint
 */
export async function writeCheckpoint(
  folder: string,
  json: Readonly<Record<string, unknown>>,
  weights: Readonly<Record<string, Value>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), `${JSON.stringify(json, null, 2)}\n`);
  const tensors = Object.entries(weights).map(([name, { shape, data }]) => ({
    name,
    shape,
    data: data as Float32Array,
  }));
  await writeFile(join(folder, "model.safetensors"), encodeSafetensors(tensors, { format: "pt" }));
}
