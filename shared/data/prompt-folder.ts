import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Adapter,
  CONFIG_FILE,
  encodeAdapter,
  MAX_CONFIG_CHARACTERS,
  MAX_DIMENSION,
  MAX_VIRTUAL_TOKENS,
  parseAdapter,
  WEIGHTS_FILE,
} from "../prompt/adapter.ts";
import { ProblemError } from "../protocol/errors.ts";
import {
  encodeManifest,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  sha256,
} from "../protocol/manifest.ts";
import { readBytes, readText } from "./files.ts";

/** The largest prompt in F32, with room for the header. */
const MAX_WEIGHTS_BYTES = MAX_VIRTUAL_TOKENS * MAX_DIMENSION * 4 + 64 * 1024;

export interface PromptFolder extends Adapter {
  /** Null if the folder is a plain PEFT adapter without one. */
  readonly manifest: Manifest | null;
  /** SHA-256 of the prompt's file. */
  readonly digest: string;
}

/**
 * Reads a PEFT prompt-tuning folder and the manifest beside it, if there is one.
 *
 * @throws ProblemError if a file is missing or not valid, or manifest and prompt don't belong together
 */
export async function readPromptFolder(folder: string): Promise<PromptFolder> {
  const config = await readText(join(folder, CONFIG_FILE), MAX_CONFIG_CHARACTERS);
  const weights = await readBytes(join(folder, WEIGHTS_FILE), MAX_WEIGHTS_BYTES);
  const adapter = parseAdapter(config, weights, folder);
  const digest = await sha256(weights);
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
 * Writes the three files of a soft prompt's folder.
 *
 * @param folder an existing folder
 * @param prompt `[virtualTokens, dimension]`, row-major
 * @returns the manifest with the prompt's digest
 */
export async function writePromptFolder(
  folder: string,
  prompt: Omit<Adapter, "baseModel">,
  facts: ManifestFacts,
): Promise<Manifest> {
  const masked = facts.model.architecture === "roberta";
  const files = encodeAdapter({ ...prompt, baseModel: facts.model.id, masked });
  const { virtualTokens, dimension } = prompt;
  const digest = await sha256(files.weights);
  const manifest: Manifest = { format: "softpost/1", ...facts, prompt: { virtualTokens, dimension, digest } };
  await writeFile(join(folder, CONFIG_FILE), files.config);
  await writeFile(join(folder, WEIGHTS_FILE), files.weights);
  await writeFile(join(folder, MANIFEST_FILE), encodeManifest(manifest));
  return manifest;
}

/** What of a model a prompt must fit. */
export interface FitsModel {
  /** The model's folder, for messages. */
  readonly name: string;
  /** Width D of its embeddings. */
  readonly dimension: number;
  readonly digest: string;
}

/**
 * Refuses a prompt that was made for another model.
 *
 * @param folder the prompt's, for messages
 * @throws ProblemError if the dimension, or the digest in the manifest, is not the model's
 */
export function requireFit(prompt: PromptFolder, folder: string, model: FitsModel): void {
  const title = "The soft prompt is for another model";
  if (prompt.dimension !== model.dimension) {
    const at = `${folder}/${WEIGHTS_FILE}, tensor prompt_embeddings`;
    const message = `Has dimension ${prompt.dimension}; ${model.name} has ${model.dimension}.`;
    throw new ProblemError(title, `${at}: ${message}`, { status: 422, faults: [{ at, message }] });
  }
  const made = prompt.manifest?.model;
  if (made && made.digest !== model.digest) {
    const at = `${folder}/${MANIFEST_FILE}#/model/digest`;
    const message = `Is ${made.digest} (${made.id}); that of ${model.name} is ${model.digest}.`;
    throw new ProblemError(title, `${at}: ${message}`, { status: 422, faults: [{ at, message }] });
  }
}
