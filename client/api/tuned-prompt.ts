import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type PromptFolder, readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import { refuseNotes } from "../../shared/submission/outgoing.ts";
import type { SentPrompt } from "./api.ts";

/**
 * A tuned prompt's manifest and weights, which are all that may leave this machine.
 *
 * @throws ProblemError if the folder isn't a valid prompt with a manifest, or its weights have something to say beside their numbers
 */
export async function readTunedPrompt(folder: string): Promise<SentPrompt> {
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
  return { manifest: prompt.manifest, weights };
}
