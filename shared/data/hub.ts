import { ProblemError } from "../protocol/errors.ts";
import { isFolder } from "./files.ts";
import { type DownloadWatch, HUB_TITLE, type Hub, parseHubId } from "./hub-address.ts";
import { cachedModel } from "./hub-cache.ts";

/**
 * A model's folder: `name` itself if it is a folder, else the hub's model of that id, from the cache or downloaded into it (config,
 * safetensors and tokenizer only). `organisation/name@revision` names a branch, tag or commit. A model that is whole in the cache is
 * used as it is, without asking the hub for a newer one.
 *
 * @throws ProblemError if there is no such folder or hub model, or it can't be downloaded
 */
export async function resolveModel(name: string, hub: Hub, watch: DownloadWatch = {}): Promise<string> {
  if (await isFolder(name)) return name;
  const model = parseHubId(name);
  if (!model) throw new ProblemError(HUB_TITLE, `There is no folder ${name}.`, { status: 404 });
  const { snapshot, missing } = await cachedModel(hub, model);
  if (snapshot !== undefined && missing.length === 0) return snapshot;
  if (hub.offline) {
    const detail =
      `There is no folder ${name}, the cache ${hub.cache} doesn't have the whole model (${missing.join(", ")}), and ` +
      "HF_HUB_OFFLINE is set. Get it once without that; a snapshot's folder named as the model is used as it is.";
    throw new ProblemError(HUB_TITLE, detail, { status: 404 });
  }
  await refuseMistypedPath(name, snapshot);
  // Only here: loading Hugging Face's library would slow the start of every command down.
  const { downloadModel } = await import("./hub-download.ts");
  return downloadModel(model, hub, watch);
}

/** `models/merger-with-acme` with a letter too many reads like a hub id, and nobody's hub is to be told of it. */
async function refuseMistypedPath(name: string, snapshot: string | undefined): Promise<void> {
  const [parent, child] = name.split("/");
  if (child === undefined || name.includes("@") || snapshot !== undefined || !(await isFolder(parent!))) return;
  const detail =
    `There is a folder ${parent} here, but no ${name} in it. The hub was not asked, which would tell it the name; ` +
    `if the hub's model is meant, write ${name}@main.`;
  throw new ProblemError(HUB_TITLE, detail, { status: 404 });
}
