import {
  CONFIG_FILE,
  MAX_CONFIG_CHARACTERS,
  parseAdapter,
  promptEntry,
  WEIGHTS_FILE,
} from "../../../shared/prompt/adapter.ts";
import { parseHeader } from "../../../shared/prompt/safetensors.ts";
import { type Fault, ProblemError } from "../../../shared/protocol/errors.ts";
import { MANIFEST_FILE, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from "../../../shared/protocol/manifest.ts";
import { refuseNotes } from "../../../shared/submission/outgoing.ts";

/** As the provider takes them. */
const MAX_PROMPT_BYTES = 4 * 1024 * 1024;
const LIMITS: Readonly<Record<string, number>> = {
  [MANIFEST_FILE]: MAX_MANIFEST_BYTES,
  [CONFIG_FILE]: MAX_CONFIG_CHARACTERS,
  [WEIGHTS_FILE]: MAX_PROMPT_BYTES,
};

/** A prompt folder that was dropped, read in the page. */
export interface TunedPrompt {
  readonly manifest: Manifest;
  readonly weights: Uint8Array;
  /** Files of the folder that are neither read nor sent. */
  readonly others: readonly string[];
}

/** @throws ProblemError with every file that is missing or too large, or as the command line says it of a folder */
export async function readPrompt(files: readonly File[]): Promise<TunedPrompt> {
  const faults: Fault[] = Object.entries(LIMITS).flatMap(([name, limit]) => {
    const file = files.find((each) => each.name === name);
    if (!file) return [{ at: name, message: "Is not there: softpost tune writes it into the prompt's folder." }];
    return file.size > limit ? [{ at: name, message: `Has ${file.size} bytes; at most ${limit} are taken.` }] : [];
  });
  if (faults.length > 0) throw new ProblemError("This is no prompt folder", "What is missing or wrong:", { faults });
  const bytesOf = async (name: string) => new Uint8Array(await files.find((each) => each.name === name)!.arrayBuffer());
  const textOf = async (name: string) => new TextDecoder("utf-8", { fatal: true }).decode(await bytesOf(name));
  const weights = await bytesOf(WEIGHTS_FILE);
  const header = parseHeader(weights, weights.length, WEIGHTS_FILE);
  const { begin, end } = promptEntry(header.tensors, WEIGHTS_FILE);
  parseAdapter(await textOf(CONFIG_FILE), header, weights.subarray(begin, end), "prompt");
  refuseNotes(weights, WEIGHTS_FILE);
  const manifest = parseManifest(await textOf(MANIFEST_FILE), MANIFEST_FILE);
  return { manifest, weights, others: files.map(({ name }) => name).filter((name) => !(name in LIMITS)) };
}
