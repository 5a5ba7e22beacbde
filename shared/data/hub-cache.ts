import { copyFile, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/json.ts";
import { TOKENIZER_EXTRAS } from "../protocol/model-digest.ts";
import { shardNames } from "../protocol/weight-files.ts";
import { readText } from "./files.ts";
import { COMMIT, HUB_TITLE, type Hub, type HubRepo } from "./hub-address.ts";

/** The index of the largest models lists some ten thousand tensors: a megabyte or two. */
export const MAX_INDEX_BYTES = 16 * 1024 * 1024;
/** Tokenizer configs of models with a thousand added tokens have some hundred kilobytes. */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
export const INDEX_FILE = "model.safetensors.index.json";
const WEIGHTS_FILE = "model.safetensors";
const TOKENIZER_CONFIG = "tokenizer_config.json";
/** Where models of before 2023 have their added tokens; later ones have them in tokenizer_config.json. */
const LEGACY_FILES = ["added_tokens.json", "special_tokens_map.json"];
/** What a file system without symbolic links, or Windows without the right to make one, says. */
const NO_LINKS = ["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "UNKNOWN"];

/** Where the cache keeps a repository. */
export function cacheFolder({ cache }: Hub, { kind, name }: HubRepo): string {
  return join(cache, `${kind}s--${name.replace("/", "--")}`);
}

/** The commit that the cache knows a revision as, if it does. */
export async function knownCommit(hub: Hub, repo: HubRepo): Promise<string | undefined> {
  if (COMMIT.test(repo.revision)) return repo.revision;
  const known = await readFile(join(cacheFolder(hub, repo), "refs", repo.revision), "utf8").catch(() => "");
  return COMMIT.test(known.trim()) ? known.trim() : undefined;
}

/**
 * What the cache has of a model.
 *
 * @returns the snapshot's folder if there is one, and the files that it lacks or of which it can't be said whether the model has
 *   them: other programs download single files, and a download may have been stopped
 */
export async function cachedModel(hub: Hub, model: HubRepo): Promise<{ snapshot?: string; missing: string[] }> {
  const home = cacheFolder(hub, model);
  const commit = await knownCommit(hub, model);
  const snapshot = join(home, "snapshots", commit ?? "");
  if (commit === undefined || !(await isThere(snapshot))) return { missing: ["nothing of it is there"] };
  return { snapshot, missing: await missingFiles(home, commit) };
}

async function missingFiles(home: string, commit: string): Promise<string[]> {
  const snapshot = join(home, "snapshots", commit);
  const lacks = async (names: readonly string[]) => {
    const there = await Promise.all(names.map((name) => isThere(join(snapshot, name))));
    return names.filter((_, i) => !there[i]);
  };
  const sharded = !(await isThere(join(snapshot, WEIGHTS_FILE))) && (await isThere(join(snapshot, INDEX_FILE)));
  const weights = sharded ? await readShardNames(join(snapshot, INDEX_FILE)) : [WEIGHTS_FILE];
  const missing = await lacks(["config.json", "tokenizer.json", ...weights]);
  for (const name of await lacks(TOKENIZER_EXTRAS)) {
    if (await isThere(absenceMark(home, commit, name))) continue;
    if (!LEGACY_FILES.includes(name) || !(await namesAddedTokens(snapshot))) missing.push(name);
  }
  return missing;
}

/** Whether tokenizer_config.json has the added tokens, so that transformers looks for them nowhere else. */
async function namesAddedTokens(snapshot: string): Promise<boolean> {
  const path = join(snapshot, TOKENIZER_CONFIG);
  if (!(await isThere(path))) return false;
  const config = parseJson(await readText(path, MAX_CONFIG_BYTES), path, HUB_TITLE);
  return (config as { added_tokens_decoder?: unknown } | null)?.added_tokens_decoder != null;
}

/** The empty file by which Hugging Face's library remembers that a commit has no file of this name. */
function absenceMark(home: string, commit: string, name: string): string {
  return join(home, ".no_exist", commit, name);
}

/** Remembers, as Hugging Face's library does, that a commit has none of these files. */
export async function markAbsent(home: string, commit: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const mark = absenceMark(home, commit, name);
    await mkdir(dirname(mark), { recursive: true });
    await writeFile(mark, "");
  }
}

/** The shards that an index file lists. @throws ProblemError if it can't be used */
export async function readShardNames(path: string): Promise<string[]> {
  return shardNames(parseJson(await readText(path, MAX_INDEX_BYTES), path, HUB_TITLE), path);
}

/**
 * Puts a blob into a snapshot: a link to it or, where the file system has none, the file itself, moved if it is new and else copied,
 * as Hugging Face's library does. What stands there already, such as a link to nothing, is replaced.
 *
 * @param path in the snapshot
 */
export async function placeBlob(blob: string, path: string, isNew: boolean): Promise<void> {
  await rm(path, { force: true });
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    // Another program may have placed it just now.
    if (code === "EEXIST") return;
    if (!NO_LINKS.includes(code)) throw error;
    if (isNew) return rename(blob, path);
    const copy = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
    await copyFile(blob, copy);
    await rename(copy, path);
  }
}

/** Whether something is there; a link to nothing isn't. @throws ProblemError if it can't be told */
async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    if (["ENOENT", "ENOTDIR"].includes(code)) return false;
    throw new ProblemError(HUB_TITLE, `${path} can't be read (${code}).`, { cause });
  }
}
