import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { bucket } from "../shared/protocol/bucket.ts";
import type { FileRecord } from "../shared/protocol/catalogue.ts";
import type { Bucket } from "./bucket.ts";

/**
 * A model's folder on this machine, downloaded unless it is there already.
 *
 * @throws ProblemError if a file is missing in the bucket or damaged
 */
export async function fetchModel(
  store: Bucket,
  cache: string,
  { digest, files }: { digest: string; files: readonly FileRecord[] },
): Promise<string> {
  const folder = join(cache, digest);
  if (await stat(folder).catch(() => undefined)) return folder;
  const partial = `${folder}.${process.pid}`;
  await mkdir(partial, { recursive: true });
  for (const { name, sha256 } of files) await store.download(bucket.model(digest) + name, join(partial, name), sha256);
  // Another job may have been faster: its folder is as good.
  await rename(partial, folder).catch(() => rm(partial, { recursive: true }));
  return folder;
}
