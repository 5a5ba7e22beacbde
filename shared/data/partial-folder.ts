import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isAlive } from "./owner.ts";

/** Whether a process of another machine still writes can't be asked: what nothing was written to for a day is given up. */
const GIVEN_UP_MS = 24 * 3600 * 1000;

/** Without dashes, which separate the parts of a name. */
const HOST = hostname().replaceAll(/[^A-Za-z0-9.]/g, "_");

/** What this process writes: what bears its id and isn't among them is of an earlier one, as in containers. */
const written = new Set<string>();

/** A folder that is being written, and gone when it is disposed of, or when the process ends, unless it was renamed. */
export interface PartialFolder extends AsyncDisposable {
  readonly path: string;
}

/**
 * Makes a folder to be written and then renamed. What processes that were killed left under such names is removed first.
 *
 * @param parent an existing folder
 * @param name that the folder's own begins with, which says whose it is
 */
export async function partialFolder(parent: string, name: string): Promise<PartialFolder> {
  await removeLeftovers(parent, name);
  const path = join(parent, `${name}.writing-${HOST}-${process.pid}-${randomUUID()}`);
  const remove = () => {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The next one who writes there removes it.
    }
  };
  written.add(path);
  process.once("exit", remove);
  const dispose = async () => {
    await rm(path, { recursive: true, force: true });
    process.off("exit", remove);
    written.delete(path);
  };
  try {
    await mkdir(path);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: dispose };
}

/** Has the disk take a folder's files, so that a name that it is given stands for all of them whatever happens then. */
export async function syncFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isFile()) await sync(join(folder, entry.name), "r+");
  }
  await syncNames(folder);
}

/** Has the disk take which names a folder has. Not every file system can. */
export async function syncNames(folder: string): Promise<void> {
  await sync(folder, "r").catch(() => {});
}

async function sync(path: string, flags: string): Promise<void> {
  await using file = await open(path, flags);
  await file.sync();
}

async function removeLeftovers(parent: string, name: string): Promise<void> {
  const start = `${name}.writing-`;
  for (const found of await readdir(parent)) {
    const [, host, pid] = /^([^-]+)-(\d+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(
      found.startsWith(start) ? found.slice(start.length) : "",
    ) ?? [undefined];
    const path = join(parent, found);
    if (host === undefined || written.has(path)) continue;
    const isLeft =
      host === HOST ? Number(pid) === process.pid || !isAlive(Number(pid)) : (await age(path)) > GIVEN_UP_MS;
    // What can't be removed is no reason not to write.
    if (isLeft) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** Milliseconds since something in a folder was written. */
async function age(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const files = ["", ...names].map((name) => stat(join(folder, name)).catch(() => undefined));
  return Date.now() - Math.max(...(await Promise.all(files)).map((found) => found?.mtimeMs ?? 0));
}
