/**
 * What of the installation is for other platforms: two dependencies come in one piece, with the binaries of all. Only files of theirs are looked at, in the folders
 * that this program itself loads them from.
 */
import { constants, existsSync, readFileSync } from "node:fs";
import { access, lstat, readdir, realpath, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { ProblemError } from "../shared/protocol/errors.ts";

/** A platform as Node names it. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
}

/** A file or folder that another platform needs. */
interface Surplus {
  readonly path: string;
  readonly bytes: number;
  /** Whether its files are the same as those of another installation, so that removing them here frees nothing. */
  readonly isShared: boolean;
}

/** How each package keeps its binaries: paths in it, and whether a platform needs one. */
const PACKAGES: readonly {
  readonly name: string;
  list(folder: string): Promise<string[]>;
  isFor(path: string, on: Platform): boolean;
}[] = [
  {
    name: "onnxruntime-node",
    // bin/napi-v6/linux/x64
    async list(folder) {
      const found: string[] = [];
      for (const api of await foldersOf(join(folder, "bin"), /^napi-v\d+$/)) {
        for (const platform of await foldersOf(api, /^(win32|darwin|linux)$/)) {
          found.push(...(await foldersOf(platform, /^(x64|arm64)$/)));
        }
      }
      return found;
    },
    isFor: (path, { platform, arch }) => basename(dirname(path)) === platform && basename(path) === arch,
  },
  {
    name: "tokenizers",
    // tokenizers.linux-x64-gnu.node; macOS also has one for all its processors
    async list(folder) {
      const names = (await readdir(folder)).filter((name) => /^tokenizers\.[a-z0-9]+-[a-z0-9-]+\.node$/.test(name));
      return names.map((name) => join(folder, name));
    },
    isFor: (path, { platform, arch }) => {
      const [, os, cpu] = /^tokenizers\.([a-z0-9]+)-([a-z0-9]+)/.exec(basename(path))!;
      return os === platform && (cpu === arch || cpu === "universal");
    },
  },
];

const TITLE = "Other platforms' files can't be removed";

/** What other platforms need of this installation. @param root the folder of this package */
export async function otherPlatforms(on: Platform = process, root = ownFolder()): Promise<readonly Surplus[]> {
  const surplus: Surplus[] = [];
  for (const { name, list, isFor } of PACKAGES) {
    const all = await list(await folderOf(name, root));
    // Where nothing is for this platform, what is there may be what it takes.
    if (!all.some((path) => isFor(path, on))) continue;
    for (const path of all) if (!isFor(path, on)) surplus.push({ path, ...(await sizeOf(path)) });
  }
  return surplus;
}

export const bytesOf = (surplus: readonly Surplus[]): number => surplus.reduce((sum, { bytes }) => sum + bytes, 0);

/**
 * Removes what other platforms need.
 *
 * @returns bytes that were freed
 * @throws ProblemError where this isn't an installation by itself: in a checkout, in a store that other installations share, or where it can't be written
 */
export async function removeOtherPlatforms(on: Platform = process, root = ownFolder()): Promise<number> {
  await requireOwn(root);
  const surplus = await otherPlatforms(on, root);
  for (const { path, isShared } of surplus) {
    if (isShared) throw refused(`${path} is shared with other installations (hard links), so nothing would be freed.`);
    const folder = dirname(path);
    await access(folder, constants.W_OK).catch(() => {
      throw refused(`${folder} can't be written. Run the command as the user who installed softpost.`);
    });
  }
  for (const { path } of surplus) {
    await rm(path, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
      throw refused(`${path} can't be removed (${cause.code}).`);
    });
  }
  return bytesOf(surplus);
}

/** @throws ProblemError unless package and dependencies are folders in a node_modules of their own */
async function requireOwn(root: string): Promise<void> {
  const real = await realpath(root);
  if (basename(dirname(real)) !== "node_modules" || existsSync(join(real, "build.ts"))) {
    throw refused(`${real} is a checkout, which others may build from. Only what npm installed is touched.`);
  }
  for (const { name } of PACKAGES) {
    const folder = await folderOf(name, root);
    const isStore = folder.split(sep).some((part) => part === ".pnpm" || part === ".store" || part.startsWith(".yarn"));
    if (isStore || "pnp" in process.versions || basename(dirname(await realpath(folder))) !== "node_modules") {
      throw refused(`${folder} belongs to a store that other projects share.`);
    }
  }
}

/** Where this program loads a package from, with links followed. */
async function folderOf(name: string, root: string): Promise<string> {
  return realpath(dirname(createRequire(join(root, "package.json")).resolve(`${name}/package.json`)));
}

/** The folder of this package, from whichever of its files this code is in. */
function ownFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const path = join(folder, "package.json");
    if (existsSync(path) && JSON.parse(readFileSync(path, "utf8")).name === "softpost") return folder;
    if (folder === dirname(folder)) throw refused("The folder of softpost can't be found.");
  }
}

async function foldersOf(folder: string, named: RegExp): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((each) => each.isDirectory() && named.test(each.name)).map(({ name }) => join(folder, name));
}

async function sizeOf(path: string): Promise<Omit<Surplus, "path">> {
  const stats = await lstat(path);
  if (!stats.isDirectory()) return { bytes: stats.size, isShared: stats.nlink > 1 };
  const inside = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
  return {
    bytes: inside.reduce((sum, { bytes }) => sum + bytes, 0),
    isShared: inside.some(({ isShared }) => isShared),
  };
}

function refused(detail: string): ProblemError {
  return new ProblemError(TITLE, detail);
}
