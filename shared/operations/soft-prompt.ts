import { encodePromptFolder, type ManifestFacts, writePromptFolder } from "../data/prompt-folder.ts";
import type { Value } from "../graph/engine.ts";
import type { Manifest } from "../protocol/manifest.ts";

/** A soft prompt, and what is known of it. */
export interface SoftPrompt {
  /** `[P, D]` */
  readonly value: Value;
  /** SHA-256 of its file. */
  readonly digest: string;
  /** Null of an adapter that another program made. */
  readonly manifest: Manifest | null;
}

/** What a tuning or a transfer made. */
interface Made {
  /** `[P, D]` */
  readonly prompt: Value;
  readonly facts: ManifestFacts;
}

/** What a tuning or a transfer made, as it will be read from its folder. */
export async function softPromptOf({ prompt, facts }: Made): Promise<SoftPrompt & { readonly manifest: Manifest }> {
  const { manifest } = await encodePromptFolder(adapterOf(prompt), facts);
  return { value: prompt, digest: manifest.prompt.digest, manifest };
}

/**
 * Writes what a tuning or a transfer made as a soft prompt's folder.
 * @param folder an existing folder
 */
export async function writePrompt(folder: string, { prompt, facts }: Made): Promise<void> {
  await writePromptFolder(folder, adapterOf(prompt), facts);
}

function adapterOf({ shape, data }: Value) {
  const [virtualTokens, dimension] = shape as readonly [number, number];
  return { prompt: data as Float32Array, virtualTokens, dimension };
}
