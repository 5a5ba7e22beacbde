import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { filesOfSplit } from "./dataset-files.ts";
import type { HubSplit } from "./dataset-id.ts";
import { isFolder, readText } from "./files.ts";
import { type DownloadWatch, type Hub, notFound } from "./hub-address.ts";
import { cacheFolder, knownCommit } from "./hub-cache.ts";
import { downloadAll, downloadFile, fileSchema, filesOf, type HubFile, withCommit } from "./hub-repo.ts";

const CARD = "README.md";
/** The longest cards, with thousands of configs, have about a megabyte. */
const MAX_CARD_BYTES = 4 * 1024 * 1024;
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * The files of a split, from the cache that Hugging Face's libraries use too, or downloaded into it. What is whole in the cache is used as it is, without
 * asking the hub.
 *
 * @throws ProblemError if the hub has no such data set, config or split, or it can't be downloaded
 */
export async function resolveDataset(wanted: HubSplit, hub: Hub, watch: DownloadWatch = {}): Promise<string[]> {
  const { repo } = wanted;
  const cached = await cachedSplit(wanted, hub);
  if (cached) return cached;
  if (hub.offline) {
    const detail = `The cache ${hub.cache} doesn't have ${repo.name}:${wanted.split} whole, and HF_HUB_OFFLINE is set. Get it once without that.`;
    throw new ProblemError(notFound(repo), detail, { status: 404 });
  }
  await refuseMistypedPath(wanted);
  return withCommit(repo, hub, watch, async (from) => {
    const files = await filesOf(from, true);
    const card = files.get(CARD);
    if (card && card.size <= MAX_CARD_BYTES) await downloadFile(from, card);
    const paths = filesOfSplit(await readCard(from.snapshot), [...files.keys()], wanted);
    await downloadAll(
      from,
      paths.map((path) => files.get(path)!),
      watch,
    );
    await writeListing(listingPath(from.home, from.commit), [...files.values()]);
    return paths.map((path) => join(from.snapshot, path));
  });
}

/** `data/merger:final` may be a file that isn't there, and nobody's hub is to be told of it. */
async function refuseMistypedPath({ repo, split }: HubSplit): Promise<void> {
  const [parent] = repo.name.split("/");
  if (repo.revision !== "main" || !(await isFolder(parent!))) return;
  const detail =
    `There is a folder ${parent} here, but no file ${repo.name}:${split}. The hub was not asked, which would tell it the name; ` +
    `if the hub's data set is meant, run this in another folder.`;
  throw new ProblemError(notFound(repo), detail, { status: 404 });
}

async function cachedSplit(wanted: HubSplit, hub: Hub): Promise<string[] | undefined> {
  const commit = await knownCommit(hub, wanted.repo);
  if (commit === undefined) return undefined;
  const home = cacheFolder(hub, wanted.repo);
  const listing = await readListing(listingPath(home, commit));
  if (!listing) return undefined;
  const snapshot = join(home, "snapshots", commit);
  const paths = filesOfSplit(await readCard(snapshot), [...listing.keys()], wanted);
  for (const path of paths) {
    const size = (await stat(join(snapshot, path)).catch(() => undefined))?.size;
    if (size !== listing.get(path)!.size) return undefined;
  }
  return paths.map((path) => join(snapshot, path));
}

async function readCard(snapshot: string): Promise<string> {
  const path = join(snapshot, CARD);
  const isThere = await stat(path).catch(() => undefined);
  return isThere ? readText(path, MAX_CARD_BYTES) : "";
}

/** Where it is remembered which files a commit has: only so is it known without the hub that a split's are all there. */
const listingPath = (home: string, commit: string) => join(home, ".softpost", `${commit}.json`);

async function writeListing(path: string, files: readonly HubFile[]): Promise<void> {
  const partial = `${path}.${crypto.randomUUID()}`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(partial, JSON.stringify(files));
  await rename(partial, path);
}

async function readListing(path: string): Promise<Map<string, HubFile> | undefined> {
  try {
    const files = z.array(fileSchema).parse(JSON.parse(await readText(path, MAX_LISTING_BYTES)));
    return new Map(files.map((file) => [file.path, file]));
  } catch {
    return undefined;
  }
}
