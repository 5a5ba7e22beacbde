import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { isModelFile } from "../protocol/model-digest.ts";

const TITLE = "The model can't be found";
/** `name` or `organisation/name`, as the hub allows them. */
const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;
/** A file's name in the cache: the hub's etags are SHA-1 or SHA-256 digests. */
const ETAG = /^"?([0-9a-f]{40}|[0-9a-f]{64})"?$/;

/** Where models come from that are no folders. */
export interface Hub {
  readonly endpoint: string;
  /** The cache that Hugging Face's own libraries use too. */
  readonly cache: string;
  readonly offline: boolean;
  readonly token: string | undefined;
}

/** The hub as Hugging Face's environment variables say, with their defaults. */
export function hubOf(env: Readonly<Record<string, string | undefined>>): Hub {
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return {
    endpoint: (env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/$/, ""),
    cache: env.HF_HUB_CACHE ?? join(home, "hub"),
    offline: ["1", "true", "yes", "on"].includes(env.HF_HUB_OFFLINE?.toLowerCase() ?? ""),
    token: env.HF_TOKEN,
  };
}

/**
 * A model's folder: `name` itself if it is a folder, else the hub's model of that id, from the cache or downloaded into it
 * (config, safetensors and tokenizer only). A model in the cache is used as it is, without asking the hub for a newer one.
 *
 * @param onNote told what is downloaded
 * @throws ProblemError if there is no such folder or hub model, or it can't be downloaded
 */
export async function resolveModel(name: string, hub: Hub, onNote?: (text: string) => void): Promise<string> {
  if (await isFolder(name)) return name;
  if (!HUB_ID.test(name)) throw new ProblemError(TITLE, `There is no folder ${name}.`, { status: 404 });
  const home = join(hub.cache, `models--${name.replace("/", "--")}`);
  const cached = await cachedSnapshot(home);
  if (cached) return cached;
  if (hub.offline) {
    const detail = `There is no folder ${name}, no such model in the cache ${hub.cache}, and HF_HUB_OFFLINE is set.`;
    throw new ProblemError(TITLE, detail, { status: 404 });
  }
  return download(name, home, hub, onNote);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function cachedSnapshot(home: string): Promise<string | undefined> {
  const revision = await readFile(join(home, "refs", "main"), "utf8").catch(() => "");
  const snapshot = join(home, "snapshots", revision.trim());
  const names = await readdir(snapshot).catch((): string[] => []);
  const complete = names.includes("config.json") && names.some((file) => file.endsWith(".safetensors"));
  return revision !== "" && complete ? snapshot : undefined;
}

const infoSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.object({ rfilename: z.string() })),
});

async function download(name: string, home: string, hub: Hub, onNote?: (text: string) => void): Promise<string> {
  const info = infoSchema.safeParse(await (await get(hub, `api/models/${name}/revision/main`)).json());
  if (!info.success) throw new ProblemError(TITLE, `${hub.endpoint} gave no list of the files of ${name}.`);
  const { sha, siblings } = info.data;
  const files = siblings.map(({ rfilename }) => rfilename).filter(isModelFile);
  if (!files.some((file) => file.endsWith(".safetensors"))) {
    throw new ProblemError(TITLE, `${name} has no safetensors weights on the hub; other formats are not read.`);
  }
  const snapshot = join(home, "snapshots", sha);
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(home, "blobs"), { recursive: true });
  for (const file of files) {
    onNote?.(`Downloading ${name}/${file}`);
    const blob = await fetchBlob(hub, `${name}/resolve/${sha}/${file}`, join(home, "blobs"));
    await symlink(join("..", "..", "blobs", blob), join(snapshot, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
  // Last, so that a snapshot that was interrupted is not taken for a whole one.
  await mkdir(join(home, "refs"), { recursive: true });
  await writeFile(join(home, "refs", "main"), sha);
  return snapshot;
}

/** Downloads one file into the blobs under its etag, checked where that is its SHA-256; returns its name there. */
async function fetchBlob(hub: Hub, path: string, blobs: string): Promise<string> {
  // Large files are redirected to a store with etags of its own; the hub's is on the redirect.
  const first = await get(hub, path, "manual");
  const etag = (first.headers.get("x-linked-etag") ?? first.headers.get("etag") ?? "").replace(/^W\//, "");
  const blob = ETAG.exec(etag)?.[1];
  if (!blob) throw new ProblemError(TITLE, `${hub.endpoint}/${path} has no usable etag.`);
  if (await stat(join(blobs, blob)).catch(() => undefined)) {
    await first.body?.cancel();
    return blob;
  }
  const body = first.status === 200 ? first.body : (await get(hub, path)).body;
  if (!body) throw new ProblemError(TITLE, `${hub.endpoint}/${path} is empty.`);
  const partial = join(blobs, `${blob}.${randomUUID()}.incomplete`);
  const hash = createHash("sha256");
  try {
    await pipeline(
      body,
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(partial),
    );
    if (blob.length === 64 && hash.digest("hex") !== blob) {
      throw new ProblemError(TITLE, `${hub.endpoint}/${path} arrived damaged; try again.`);
    }
    await rename(partial, join(blobs, blob));
  } finally {
    await rm(partial, { force: true });
  }
  return blob;
}

async function get(hub: Hub, path: string, redirect: "follow" | "manual" = "follow"): Promise<Response> {
  const url = `${hub.endpoint}/${path}`;
  const headers = hub.token ? { authorization: `Bearer ${hub.token}` } : {};
  const response = await fetch(url, { headers, redirect }).catch((cause: Error) => {
    throw new ProblemError(TITLE, `${url} can't be reached (${cause.cause ?? cause.message}).`, { cause });
  });
  if (response.status < 400) return response;
  const why =
    response.status === 404 || response.status === 401
      ? "there is no such model, or it needs HF_TOKEN"
      : "try again later";
  throw new ProblemError(TITLE, `${url} answered ${response.status}: ${why}.`, { status: 404 });
}
