import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Adapter,
  CONFIG_FILE,
  encodeAdapter,
  MAX_CONFIG_CHARACTERS,
  type PeftAdapter,
  parseAdapter,
  promptEntry,
  WEIGHTS_FILE,
} from "../prompt/adapter.ts";
import { headerBytes, parseHeader, type SafetensorsHeader } from "../prompt/safetensors.ts";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import {
  encodeManifest,
  isMaskedFamily,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  sha256,
} from "../protocol/manifest.ts";
import { onlyPickled } from "../protocol/weight-files.ts";
import { readPart, readText, unreadable } from "./files.ts";
import { hashFile } from "./model-files.ts";

export interface PromptFolder extends PeftAdapter {
  /** Null if the folder is a plain PEFT adapter without one. */
  readonly manifest: Manifest | null;
  /** SHA-256 of the prompt's file. */
  readonly digest: string;
}

/**
 * Reads a PEFT prompt-tuning or P-tuning folder and the manifest beside it, if there is one.
 *
 * @throws ProblemError if a file is missing or not valid, or manifest and prompt don't belong together
 */
export async function readPromptFolder(folder: string): Promise<PromptFolder> {
  const config = await readText(join(folder, CONFIG_FILE), MAX_CONFIG_CHARACTERS);
  const path = join(folder, WEIGHTS_FILE);
  const names = await readdir(folder);
  const pickled = names.includes(WEIGHTS_FILE) ? undefined : onlyPickled(names, folder);
  if (pickled) throw pickled;
  const { header, prompt } = await readWeights(path);
  const adapter = parseAdapter(config, header, prompt, folder);
  const { sha256: digest } = await hashFile(path);
  const manifest = await readManifest(folder);
  if (manifest && manifest.prompt.digest !== digest) {
    const detail = `${join(folder, MANIFEST_FILE)} is the manifest of another prompt: its digest is not that of ${WEIGHTS_FILE}.`;
    throw new ProblemError("The soft prompt is not valid", detail, {
      status: 422,
      faults: [
        { at: `${MANIFEST_FILE}#/prompt/digest`, message: `Is ${manifest.prompt.digest}; the file's is ${digest}.` },
      ],
    });
  }
  return { ...adapter, manifest, digest };
}

/** A weight file's header and the bytes of the prompt: a model's embeddings beside it may take gigabytes. */
async function readWeights(path: string): Promise<{ header: SafetensorsHeader; prompt: Uint8Array }> {
  const size = (await stat(path).catch(unreadable(path))).size;
  const start = await readPart(path, 0, Math.min(8, size));
  const header = parseHeader(await readPart(path, 0, headerBytes(start, size, path)), size, path);
  const { begin, end } = promptEntry(header.tensors, path);
  return { header, prompt: await readPart(path, begin, end) };
}

async function readManifest(folder: string): Promise<Manifest | null> {
  const path = join(folder, MANIFEST_FILE);
  try {
    return parseManifest(await readText(path, MAX_MANIFEST_BYTES), path);
  } catch (error) {
    const cause = error instanceof ProblemError ? error.cause : undefined;
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
    throw error;
  }
}

/** What a manifest says beside what follows from the prompt itself. */
export type ManifestFacts = Omit<Manifest, "format" | "prompt">;

/**
 * The three files of a soft prompt's folder, by their names, and its manifest with the prompt's digest.
 *
 * @param prompt `[virtualTokens, dimension]`, row-major
 */
export async function encodePromptFolder(
  prompt: Omit<Adapter, "baseModel">,
  facts: ManifestFacts,
): Promise<{ readonly manifest: Manifest; readonly files: Readonly<Record<string, string | Uint8Array>> }> {
  const masked = isMaskedFamily(facts.model.architecture);
  const { config, weights } = encodeAdapter({ ...prompt, baseModel: facts.model.id, masked });
  const { virtualTokens, dimension } = prompt;
  const digest = await sha256(weights);
  const manifest: Manifest = { format: "softpost/1", ...facts, prompt: { virtualTokens, dimension, digest } };
  return {
    manifest,
    files: { [CONFIG_FILE]: config, [WEIGHTS_FILE]: weights, [MANIFEST_FILE]: encodeManifest(manifest) },
  };
}

/**
 * Writes the files of `encodePromptFolder`.
 *
 * @param folder an existing folder
 */
export async function writePromptFolder(
  folder: string,
  prompt: Omit<Adapter, "baseModel">,
  facts: ManifestFacts,
): Promise<Manifest> {
  const { manifest, files } = await encodePromptFolder(prompt, facts);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return manifest;
}

/** What of a model a prompt must fit. */
export interface FitsModel {
  /** The model's folder or hub id, for messages. */
  readonly name: string;
  /** Width D of its embeddings, and how many layers and heads it has. */
  readonly dimension: number;
  readonly layers: number;
  readonly heads: number;
  readonly digest: string;
}

/**
 * Refuses a prompt that was made for another model.
 *
 * @param folder the prompt's, for messages
 * @throws ProblemError if the dimension, the digest in the manifest, or layers or heads in PEFT's config are not the model's
 */
export function requireFit(prompt: PromptFolder, folder: string, model: FitsModel): void {
  const refuse = (file: string, message: string): never => {
    const at = `${folder}/${file}`;
    throw new ProblemError("The soft prompt is for another model", `${at}: ${message}`, {
      status: 422,
      faults: [{ at, message }],
    });
  };
  if (prompt.dimension !== model.dimension) {
    const message = `Has dimension ${prompt.dimension}; ${model.name} has ${model.dimension}.`;
    refuse(`${WEIGHTS_FILE}, tensor prompt_embeddings`, message);
  }
  const made = prompt.manifest?.model;
  if (made && made.digest !== model.digest) {
    const message =
      `The prompt was tuned for ${made.id}, and ${model.name} is another model. Use the model that it was tuned on (--model), or transfer the ` +
      "prompt first (softpost transfer, softpost submit).";
    refuse(MANIFEST_FILE, message);
  }
  const base = prompt.baseModel === null ? "" : ` It was tuned on ${quote(prompt.baseModel)}.`;
  if (prompt.layers !== null && prompt.layers !== model.layers) {
    refuse(`${CONFIG_FILE}#/num_layers`, `Is ${prompt.layers}; ${model.name} has ${model.layers} layers.${base}`);
  }
  if (prompt.heads !== null && prompt.heads !== model.heads) {
    const message = `Is ${prompt.heads}; ${model.name} has ${model.heads} heads.${base}`;
    refuse(`${CONFIG_FILE}#/num_attention_heads`, message);
  }
}
