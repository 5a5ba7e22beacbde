import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type PromptFolder, readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MANIFEST_FILE, type Manifest } from "../../shared/protocol/manifest.ts";
import { publicManifest, refuseNotes } from "../../shared/submission/outgoing.ts";
import type { Api } from "./api.ts";

/**
 * A tuned prompt's manifest and weights, as they leave this machine: with the provider's name of the model, and no local one.
 *
 * @throws ProblemError if the folder isn't a valid prompt with a manifest, its weights have something to say beside their numbers, or
 *   the model that it was tuned on is not in the catalogue
 */
export async function readTunedPrompt(folder: string, api: Api): Promise<{ manifest: Manifest; weights: Uint8Array }> {
  const title = "The soft prompt can't be sent";
  const prompt: PromptFolder = await readPromptFolder(folder);
  if (!prompt.manifest) throw new ProblemError(title, `${folder} has no ${MANIFEST_FILE}; softpost tune writes it.`);
  const path = join(folder, WEIGHTS_FILE);
  const weights = await readFile(path);
  if (prompt.saved.size > 0) {
    throw new ProblemError(
      title,
      `${path} holds layers of the model too. Save it without them (save_embedding_layers).`,
    );
  }
  refuseNotes(weights, path);
  return { manifest: publicManifest(prompt.manifest, await api.students()), weights };
}
