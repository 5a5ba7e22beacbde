import { type ManifestFacts, writePromptFolder } from "../data/prompt-folder.ts";
import type { Value } from "../graph/engine.ts";

/**
 * Writes what a tuning or a transfer made as a soft prompt's folder.
 * @param folder an existing folder
 * @param made.prompt `[P, D]`
 */
export async function writePrompt(
  folder: string,
  { prompt, facts }: { readonly prompt: Value; readonly facts: ManifestFacts },
): Promise<void> {
  const [virtualTokens, dimension] = prompt.shape as readonly [number, number];
  await writePromptFolder(folder, { prompt: prompt.data as Float32Array, virtualTokens, dimension }, facts);
}
