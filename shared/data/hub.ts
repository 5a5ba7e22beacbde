import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/json.ts";
import { shardNames } from "../protocol/weight-files.ts";
import { readText } from "./files.ts";

export const HUB_TITLE = "The model can't be found";
/** `name` or `organisation/name`, as the hub allows them, and a revision after an @. */
const HUB_ID = /^([A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?)(?:@(\w[\w./-]{0,249}))?$/;
export const COMMIT = /^[0-9a-f]{40}$/;
/** The index of the largest models lists some ten thousand tensors: a megabyte or two. */
export const MAX_INDEX_BYTES = 16 * 1024 * 1024;
export const INDEX_FILE = "model.safetensors.index.json";

/** Where models come from that are no folders. */
export interface Hub {
  readonly endpoint: string;
  /** The cache that Hugging Face's own libraries use too. */
  readonly cache: string;
  readonly offline: boolean;
  /** The access token, if the environment has it, else where it may be. */
  readonly token: string | undefined;
  readonly tokenFile: string;
}

/** A model on the hub. */
export interface HubModel {
  /** `organisation/name`. */
  readonly name: string;
  /** A branch, tag or commit. */
  readonly revision: string;
}

/** What a download tells; the same as a training run's events. */
export type DownloadEvent =
  | { readonly kind: "phase"; readonly name: string; readonly total: number; readonly unit: "bytes" }
  | { readonly kind: "progress"; readonly done: number };

/** How a download is watched and stopped. */
export interface DownloadWatch {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: DownloadEvent) => void) | undefined;
}

/** The hub as Hugging Face's environment variables say, with their defaults. */
export function hubOf(env: Readonly<Record<string, string | undefined>>): Hub {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const offline = env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || "";
  return {
    endpoint: (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/$/, ""),
    cache: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"),
    offline: ["1", "true", "yes", "on"].includes(offline.toLowerCase()),
    token: env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || undefined,
    tokenFile: env.HF_TOKEN_PATH || join(home, "token"),
  };
}

/**
 * A model's folder: `name` itself if it is a folder, else the hub's model of that id, from the cache or downloaded into it (config,
 * safetensors and tokenizer only). `organisation/name@revision` names a branch, tag or commit. A model in the cache is used as it
 * is, without asking the hub for a newer one.
 *
 * @throws ProblemError if there is no such folder or hub model, or it can't be downloaded
 */
export async function resolveModel(name: string, hub: Hub, watch: DownloadWatch = {}): Promise<string> {
  if (await isFolder(name)) return name;
  const model = parseHubId(name);
  if (!model) throw new ProblemError(HUB_TITLE, `There is no folder ${name}.`, { status: 404 });
  const cached = await cachedSnapshot(cacheFolder(hub, model), model.revision);
  if (cached) return cached;
  if (hub.offline) {
    const detail = `There is no folder ${name}, the cache ${hub.cache} doesn't have the whole model, and HF_HUB_OFFLINE is set.`;
    throw new ProblemError(HUB_TITLE, detail, { status: 404 });
  }
  // Only here: loading Hugging Face's library would slow the start of every command down.
  const { downloadModel } = await import("./hub-download.ts");
  return downloadModel(model, hub, watch);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The model that a hub id names, undefined if it is none. The revision becomes part of a path: it can't lead out of its folder. */
function parseHubId(id: string): HubModel | undefined {
  const [, name, revision = "main"] = HUB_ID.exec(id) ?? [];
  if (name === undefined || revision.includes("..") || /\/(\/|$)/.test(revision)) return undefined;
  return { name, revision };
}

/** Where the cache keeps a model. */
export function cacheFolder({ cache }: Hub, { name }: HubModel): string {
  return join(cache, `models--${name.replace("/", "--")}`);
}

async function cachedSnapshot(home: string, revision: string): Promise<string | undefined> {
  const known = COMMIT.test(revision) ? revision : await readFile(join(home, "refs", revision), "utf8").catch(() => "");
  const snapshot = join(home, "snapshots", known.trim());
  return COMMIT.test(known.trim()) && (await isWhole(snapshot)) ? snapshot : undefined;
}

/** Whether a snapshot has all that a model needs: other programs download single files, and a download may have been stopped. */
async function isWhole(snapshot: string): Promise<boolean> {
  const has = (name: string) =>
    stat(join(snapshot, name)).then(
      () => true,
      () => false,
    );
  const hasAll = async (names: readonly string[]) => (await Promise.all(names.map(has))).every(Boolean);
  if (!(await hasAll(["config.json", "tokenizer.json"]))) return false;
  if (await has("model.safetensors")) return true;
  return (await has(INDEX_FILE)) && (await hasAll(await readShardNames(join(snapshot, INDEX_FILE))));
}

/** The shards that an index file lists. @throws ProblemError if it can't be used */
export async function readShardNames(path: string): Promise<string[]> {
  return shardNames(parseJson(await readText(path, MAX_INDEX_BYTES), path, HUB_TITLE), path);
}
