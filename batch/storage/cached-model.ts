import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DigestRecords } from "../../shared/data/digest-records.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";

/**
 * Looks whether a cached model is still what was downloaded. What doesn't belong there, and could change what is computed, is removed.
 *
 * @returns the files that are missing or damaged
 */
export async function damagedFiles(
  folder: string,
  files: readonly FileRecord[],
  records: DigestRecords,
): Promise<FileRecord[]> {
  await removeOthers(folder, files);
  const damaged: FileRecord[] = [];
  for (const file of files) {
    const path = join(folder, file.name);
    const found = await stat(path).catch(() => undefined);
    if (found?.size !== file.size || (await records.hash(path)).sha256 !== file.sha256) damaged.push(file);
  }
  return damaged;
}

async function removeOthers(folder: string, files: readonly FileRecord[]): Promise<void> {
  for (const name of await readdir(folder)) {
    // Another job may be downloading (`Bucket.download`).
    if (name.endsWith(".part") || files.some((file) => file.name === name)) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}
