import { join } from "node:path";
import { ProblemError } from "../protocol/errors.ts";
import { TOKENIZER_EXTRAS } from "../protocol/model-digest.ts";
import { noSafetensors } from "../protocol/weight-files.ts";
import { type DownloadWatch, HUB_TITLE, type Hub, type HubRepo } from "./hub-address.ts";
import { INDEX_FILE, MAX_INDEX_BYTES, markAbsent, readShardNames } from "./hub-cache.ts";
import { downloadAll, downloadFile, filesOf, type HubFile, type RemoteCommit, withCommit } from "./hub-repo.ts";

/**
 * Downloads a model into the cache; `.no_exist/<commit>` gets the files that it doesn't have.
 *
 * @returns the snapshot's folder
 * @throws ProblemError as `withCommit`, or if it has no safetensors weights or no tokenizer.json
 */
export async function downloadModel(model: HubRepo, hub: Hub, watch: DownloadWatch): Promise<string> {
  return withCommit(model, hub, watch, async (from) => {
    const files = await filesOf(from, false);
    await downloadAll(from, await neededFiles(from, files), watch);
    const absent = TOKENIZER_EXTRAS.filter((name) => !files.has(name));
    await markAbsent(from.home, from.commit, absent);
    return from.snapshot;
  });
}

/** Config, tokenizer and weights; of repositories that have the weights more than once, those that are read. */
async function neededFiles(from: RemoteCommit, files: ReadonlyMap<string, HubFile>): Promise<HubFile[]> {
  const id = `${from.repo.name}@${from.repo.revision}`;
  const file = (name: string): HubFile => {
    const found = files.get(name);
    if (found) return found;
    throw new ProblemError(HUB_TITLE, `${id} has no ${name} on the hub.`, { status: 422 });
  };
  const needed = [file("config.json"), ...TOKENIZER_EXTRAS.flatMap((name) => files.get(name) ?? [])];
  if (files.has("model.safetensors")) return [...needed, file("tokenizer.json"), file("model.safetensors")];
  const index = files.get(INDEX_FILE);
  if (!index) throw noSafetensors([...files.keys()], id);
  if (index.size > MAX_INDEX_BYTES) throw new ProblemError(HUB_TITLE, `${id}: ${INDEX_FILE} has ${index.size} bytes.`);
  await downloadFile(from, index);
  const shards = await readShardNames(join(from.snapshot, INDEX_FILE));
  return [...needed, file("tokenizer.json"), index, ...shards.map(file)];
}
