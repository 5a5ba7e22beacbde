import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { fixture } from "./fixtures.ts";
import { temporaryFolder } from "./temporary.ts";

/** Writes NaN over one value of a model's weight. */
export async function breakWeight(folder: string, weight: string, index = 0): Promise<void> {
  const { location } = (await openCheckpoint(folder)).weights.get(weight)!;
  const bytes = readFileSync(location.file);
  bytes.writeFloatLE(Number.NaN, location.offset + 4 * index);
  writeFileSync(location.file, bytes);
}

/** A copy of the tiny GPT-2 with NaN in a weight: the last norm's, so that it has no scores at all, or another one. */
export async function brokenModel(weight = "transformer.ln_f.weight"): Promise<string> {
  const folder = join(temporaryFolder(), "broken");
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  await breakWeight(folder, weight);
  return folder;
}
