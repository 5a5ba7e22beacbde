import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { hashFile } from "../../shared/data/model-files.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";

/** A bit that flips in a file leaves no other trace, so each file is read whole again after this time. */
const CHECK_MS = 86_400_000;

/** What a file was when it was last read whole. Whoever writes to it changes its ctime, which can't be set back. */
const stateSchema = z.object({ size: z.number(), mtimeMs: z.number(), ctimeMs: z.number(), ino: z.number() });
type FileState = z.output<typeof stateSchema>;

const seenSchema = z.record(z.string(), stateSchema.extend({ checked: z.number() }));
type Seen = z.output<typeof seenSchema>;

/**
 * Looks whether a cached model is still what was downloaded: files that look untouched are believed for a day, others are read. What doesn't belong
 * there, and could change what is computed, is removed.
 *
 * @returns the files that are missing or damaged
 */
export async function damagedFiles(folder: string, files: readonly FileRecord[]): Promise<FileRecord[]> {
  await removeOthers(folder, files);
  const before = await readSeen(folder);
  const seen: Seen = {};
  const damaged: FileRecord[] = [];
  for (const file of files) {
    const path = join(folder, file.name);
    const state = await stateOf(path);
    const known = before[file.name];
    if (state && known && isFresh(known, state)) seen[file.name] = known;
    else if (state?.size === file.size && (await hashFile(path)).sha256 === file.sha256) {
      seen[file.name] = { ...state, checked: Date.now() };
    } else damaged.push(file);
  }
  if (JSON.stringify(seen) !== JSON.stringify(before)) await writeSeen(folder, seen);
  return damaged;
}

/** Notes that all files have just been downloaded, which compares their digests. */
export async function noteDownloaded(folder: string, files: readonly FileRecord[]): Promise<void> {
  const seen: Seen = {};
  for (const { name } of files) {
    const state = await stateOf(join(folder, name));
    if (state) seen[name] = { ...state, checked: Date.now() };
  }
  await writeSeen(folder, seen);
}

function isFresh({ checked, ...known }: Seen[string], state: FileState): boolean {
  const age = Date.now() - checked;
  // A clock that was set back is no reason to believe a file for longer.
  return age >= 0 && age < CHECK_MS && JSON.stringify(known) === JSON.stringify(state);
}

async function removeOthers(folder: string, files: readonly FileRecord[]): Promise<void> {
  for (const name of await readdir(folder)) {
    // Another job may be downloading (`Bucket.download`).
    if (name.endsWith(".part") || files.some((file) => file.name === name)) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function stateOf(path: string): Promise<FileState | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && stateSchema.parse(found);
}

async function readSeen(folder: string): Promise<Seen> {
  try {
    return seenSchema.parse(JSON.parse(await readFile(nameOf(folder), "utf8")));
  } catch {
    // Without it everything is read.
    return {};
  }
}

async function writeSeen(folder: string, seen: Seen): Promise<void> {
  const own = `${nameOf(folder)}.${process.pid}`;
  await writeFile(own, JSON.stringify(seen));
  await rename(own, nameOf(folder));
}

/** Beside the folder, which has the model's own files only. */
function nameOf(folder: string): string {
  return `${folder}.json`;
}
