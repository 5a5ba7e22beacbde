import { sha256 } from "./manifest.ts";

/** Files beside tokenizer.json that token ids may depend on, which a model may lack; the last two are transformers' older ones. */
export const TOKENIZER_EXTRAS: readonly string[] = [
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
];

/**
 * Whether a file of a model folder belongs to what the model is: config, weights and tokenizer. Others (a model card, the
 * weights in another format) may differ between copies of one model.
 */
export function isModelFile(name: string): boolean {
  return (
    TOKENIZER_EXTRAS.includes(name) || /^(config|tokenizer)\.json$|^[\w.-]+\.safetensors(\.index\.json)?$/.test(name)
  );
}

/**
 * What identifies a model everywhere: the SHA-256 of its files' digests in the form of `sha256sum`'s output
 * (`<digest>  <name>\n`), sorted by name. It can be computed from a list of files without reading them.
 *
 * @param files of the model's folder; those that aren't `isModelFile` don't count
 */
export async function modelDigest(
  files: readonly { readonly name: string; readonly sha256: string }[],
): Promise<string> {
  const lines = files
    .filter(({ name }) => isModelFile(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => `${file.sha256}  ${file.name}\n`);
  return sha256(new TextEncoder().encode(lines.join("")));
}
