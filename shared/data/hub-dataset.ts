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
import { countRows } from "./rows/open.ts";

const CARD = "README.md";
/** The longest cards, with thousands of configs, have about a megabyte. */
const MAX_CARD_BYTES = 4 * 1024 * 1024;
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * The files of a split, from the cache that Hugging Face's libraries use too, or downloaded into it. What is whole in the cache is used as it is, without
 * asking the hub.
 *
 * @param limit rows that are wanted: files behind those that have them are left alone
 * @throws ProblemError if the hub has no such data set, config or split, or it can't be downloaded
 */
export async function resolveDataset(
  wanted: HubSplit,
  hub: Hub,
  watch: DownloadWatch = {},
  limit = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const { repo } = wanted;
  const cached = await cachedSplit(wanted, hub, limit);
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
    const download = (some: readonly string[]) => {
      const missing = some.map((path) => files.get(path)!);
      return downloadAll(from, missing, watch);
    };
    const isLimited = limit < Number.POSITIVE_INFINITY;
    if (!isLimited) await download(paths);
    const parts = await firstWith(limit, paths, from.snapshot, async (path) => {
      if (isLimited) await download([path]);
      return true;
    });
    await writeListing(listingPath(from.home, from.commit), [...files.values()]);
    return parts!;
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

/**
 * The first of a split's files, as many as have so many rows together.
 *
 * @param has makes a file be there, or says that it isn't: then there is no answer
 */
async function firstWith(
  limit: number,
  paths: readonly string[],
  snapshot: string,
  has: (path: string) => Promise<boolean>,
): Promise<string[] | undefined> {
  const whole = paths.map((path) => join(snapshot, path));
  for (let [i, rows] = [0, 0]; i < paths.length; i++) {
    if (rows >= limit) return whole.slice(0, i);
    if (!(await has(paths[i]!))) return undefined;
    if (limit < Number.POSITIVE_INFINITY) rows += await countRows(whole[i]!, limit - rows);
  }
  return whole;
}

async function cachedSplit(wanted: HubSplit, hub: Hub, limit: number): Promise<string[] | undefined> {
  const commit = await knownCommit(hub, wanted.repo);
  if (commit === undefined) return undefined;
  const home = cacheFolder(hub, wanted.repo);
  const listing = await readListing(listingPath(home, commit));
  if (!listing) return undefined;
  const snapshot = join(home, "snapshots", commit);
  const paths = filesOfSplit(await readCard(snapshot), [...listing.keys()], wanted);
  return firstWith(limit, paths, snapshot, async (path) => {
    const size = (await stat(join(snapshot, path)).catch(() => undefined))?.size;
    return size === listing.get(path)!.size;
  });
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
