import { mkdir, readFile, rename, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { TOKENIZER_EXTRAS } from "../protocol/model-digest.ts";
import { noSafetensors } from "../protocol/weight-files.ts";
import { COMMIT, type DownloadWatch, HUB_TITLE, type Hub, type HubModel } from "./hub-address.ts";
import { cacheFolder, INDEX_FILE, MAX_INDEX_BYTES, markAbsent, placeBlob, readShardNames } from "./hub-cache.ts";
import { isPassing, Patience, retryAfter } from "./patience.ts";
import { byWayOf } from "./proxy.ts";
import { downloadTo } from "./resumable.ts";

/** A model's folder has some tens of files, a repository with many checkpoints some thousands. */
const MAX_FILES = 20_000;
/** A token has some forty characters. */
const MAX_TOKEN_BYTES = 4096;

const TITLE = "The model can't be downloaded";

const fileSchema = z.object({
  path: z.string(),
  size: z.int().nonnegative(),
  /** Git's SHA-1; of a large file it is that of a pointer, and `lfs.oid` is the SHA-256 of the content. */
  oid: z.string().regex(COMMIT),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
});
type HubFile = z.output<typeof fileSchema>;

/** A model that is being downloaded. */
interface Job {
  readonly hub: Hub;
  readonly model: HubModel;
  readonly commit: string;
  readonly door: Door;
  /** Its folder in the cache. */
  readonly home: string;
  readonly signal: AbortSignal | undefined;
}

/** The way to the hub. */
interface Door {
  /** With the token for the hub itself, never for other hosts. */
  readonly fetch: typeof fetch;
  /** What an answer that isn't the wanted one means, and what to do. */
  refusal(response: Response): Promise<ProblemError>;
}

/**
 * Downloads a model into the cache, as Hugging Face's libraries lay it out: `blobs/<digest>`, links to them in
 * `snapshots/<commit>`, the commit's id in `refs/<revision>`, and in `.no_exist/<commit>` the files that it doesn't have.
 *
 * Hugging Face's library lists the files. It doesn't download them, since it neither continues a file nor checks its digest.
 *
 * @returns the snapshot's folder
 * @throws ProblemError if the hub can't be reached or doesn't give the model, it has no safetensors weights or no tokenizer.json,
 *   there is no room for it, or a file arrives damaged
 */
export async function downloadModel(model: HubModel, hub: Hub, watch: DownloadWatch): Promise<string> {
  try {
    const { signal } = watch;
    const door = openDoor(hub, model, await readToken(hub), signal);
    const listing = patient(door, model, signal);
    const commit = await resolveRevision(model, hub, listing);
    const job: Job = { hub, model, commit, door, home: cacheFolder(hub, model), signal };
    const files = await filesOf(job, listing);
    const snapshot = join(job.home, "snapshots", commit);
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(job.home, "blobs"), { recursive: true });
    await downloadAll(job, await neededFiles(job, files, snapshot), snapshot, watch);
    const absent = TOKENIZER_EXTRAS.filter((name) => !files.has(name));
    await markAbsent(job.home, commit, absent);
    if (model.revision !== commit) {
      const ref = join(job.home, "refs", model.revision);
      await mkdir(dirname(ref), { recursive: true });
      await writeFile(ref, commit);
    }
    return snapshot;
  } catch (cause) {
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    throw new ProblemError(TITLE, `The cache ${hub.cache} can't be written: ${cause.message}.`, { cause });
  }
}

async function readToken({ token, tokenFile }: Hub): Promise<string | undefined> {
  if (token !== undefined) return token;
  const size = (await stat(tokenFile).catch(() => undefined))?.size ?? 0;
  return size > 0 && size <= MAX_TOKEN_BYTES ? (await readFile(tokenFile, "utf8")).trim() : undefined;
}

function openDoor(
  { endpoint }: Hub,
  { name }: HubModel,
  token: string | undefined,
  signal: AbortSignal | undefined,
): Door {
  if (!URL.canParse(endpoint)) throw new ProblemError(HUB_TITLE, `HF_ENDPOINT ${endpoint} is no URL.`);
  const { origin } = new URL(endpoint);
  return {
    async fetch(input, init) {
      const url = String(input);
      const headers = new Headers(init?.headers);
      headers.set("accept-encoding", "identity");
      if (token !== undefined && new URL(url).origin === origin) headers.set("authorization", `Bearer ${token}`);
      return fetch(url, { ...init, headers, signal: signal ?? null });
    },
    async refusal({ status, url, body }) {
      await body?.cancel();
      const unknown = status === 401 || status === 404;
      const detail = `There is no folder ${name}, and ${url} answered ${status}: ${advice(status, token)}.`;
      return new ProblemError(unknown || status === 403 ? HUB_TITLE : TITLE, detail, { status: unknown ? 404 : 502 });
    },
  };
}

/** `fetch` for the lists: what passes is waited for, and every failure is a ProblemError. */
function patient({ fetch: once, refusal }: Door, { name }: HubModel, signal: AbortSignal | undefined): typeof fetch {
  return async (input, init) => {
    const patience = new Patience(signal);
    for (;;) {
      const response = await once(input, init).catch((cause: Error) => cause);
      if (response instanceof Error) {
        if (signal?.aborted) throw response;
        if (isClosedConnection(response) && (await patience.wait(undefined))) continue;
        const reason = response.cause ?? response.message;
        const detail = `There is no folder ${name}, and ${input} can't be reached${byWayOf(String(input))} (${reason}).`;
        throw new ProblemError(TITLE, detail, { status: 502, cause: response });
      }
      if (response.ok) return response;
      if (!isPassing(response.status) || !(await patience.wait(retryAfter(response)))) throw await refusal(response);
      await response.body?.cancel();
    }
  };
}

/** Whether there was somebody at the other end. */
function isClosedConnection({ cause }: Error): boolean {
  const { code } = (cause ?? {}) as { code?: string };
  return code === "ECONNRESET" || code === "EPIPE" || code === "UND_ERR_SOCKET";
}

function advice(status: number, token: string | undefined): string {
  const given = token === undefined ? "set HF_TOKEN" : "the token that is set doesn't give access to it";
  if (status === 401) return `there is no such model, or it is private or gated (${given})`;
  if (status === 403) return `the model is gated: accept its terms on the hub (${given})`;
  if (status === 404) return "there is no such model or revision";
  return "try again later";
}

/** The commit that a branch, tag or short id is now. */
async function resolveRevision({ name, revision }: HubModel, { endpoint }: Hub, hubFetch: typeof fetch) {
  const request = { name, revision, hubUrl: endpoint, fetch: hubFetch, additionalFields: ["sha" as const] };
  const { sha } = await understood(modelInfo(request), endpoint);
  if (COMMIT.test(sha)) return sha;
  throw new ProblemError(HUB_TITLE, `${endpoint} gave no commit for ${name}@${revision}.`, { status: 502 });
}

/** The files in the root of a model's repository, by name. */
async function filesOf({ hub, model, commit }: Job, hubFetch: typeof fetch): Promise<Map<string, HubFile>> {
  const repo = { type: "model", name: model.name } as const;
  const entries = listFiles({ repo, revision: commit, hubUrl: hub.endpoint, fetch: hubFetch });
  const files = new Map<string, HubFile>();
  for (let count = 0; ; count++) {
    const entry = await understood(entries.next(), hub.endpoint);
    if (entry.done) return files;
    const file = fileSchema.safeParse(entry.value);
    if (count === MAX_FILES || (entry.value.type === "file" && !file.success)) {
      throw new ProblemError(HUB_TITLE, `${hub.endpoint} gave no usable list of the files of ${model.name}.`, {
        status: 502,
      });
    }
    if (file.success && entry.value.type === "file") files.set(file.data.path, file.data);
  }
}

/** What the library throws at an answer that isn't what it should be is no bug of ours. */
async function understood<T>(promise: Promise<T>, endpoint: string): Promise<T> {
  return promise.catch((cause: Error) => {
    if (cause instanceof ProblemError || cause.name === "AbortError") throw cause;
    throw new ProblemError(HUB_TITLE, `${endpoint} gave an answer that is not understood (${cause.message}).`, {
      status: 502,
      cause,
    });
  });
}

/** Config, tokenizer and weights; of repositories that have the weights more than once, those that are read. */
async function neededFiles(job: Job, files: ReadonlyMap<string, HubFile>, snapshot: string): Promise<HubFile[]> {
  const id = `${job.model.name}@${job.model.revision}`;
  const file = (name: string): HubFile => {
    const found = files.get(name);
    if (found) return found;
    throw new ProblemError(HUB_TITLE, `${id} has no ${name} on the hub.`, { status: 422 });
  };
  const needed = [file("config.json"), ...TOKENIZER_EXTRAS.flatMap((name) => files.get(name) ?? [])];
  if (files.has("model.safetensors")) return [...needed, file("tokenizer.json"), file("model.safetensors")];
  const index = files.get(INDEX_FILE);
  if (!index) throw noSafetensors([...files.keys()], id);
  if (index.size > MAX_INDEX_BYTES) throw new ProblemError(HUB_TITLE, `${id}: ${INDEX_FILE} has ${index.size} bytes.`);
  await downloadFile(job, index, snapshot, () => {});
  const shards = await readShardNames(join(snapshot, INDEX_FILE));
  return [...needed, file("tokenizer.json"), index, ...shards.map(file)];
}

async function downloadAll(job: Job, files: readonly HubFile[], snapshot: string, { onEvent }: DownloadWatch) {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  await requireRoom(job, files, snapshot);
  onEvent?.({ kind: "phase", name: `download of ${job.model.name}`, total, unit: "bytes" });
  let done = 0;
  for (const file of files) {
    await downloadFile(job, file, snapshot, (bytes) => {
      done += bytes;
      onEvent?.({ kind: "progress", done });
    });
  }
}

/** Refuses a download that would fill the disk, before it begins. */
async function requireRoom({ home, model }: Job, files: readonly HubFile[], snapshot: string): Promise<void> {
  let missing = 0;
  for (const file of files) {
    const blob = blobPath(home, file);
    const sizes = await Promise.all([join(snapshot, file.path), blob, `${blob}.incomplete`].map(sizeOf));
    missing += Math.max(0, file.size - Math.max(...sizes));
  }
  const { bavail, bsize } = await statfs(home);
  if (missing <= bavail * bsize) return;
  const [needs, has] = [missing, bavail * bsize].map((bytes) => `${(bytes / 1e9).toFixed(2)} GB`);
  throw new ProblemError(
    TITLE,
    `${model.name} needs ${needs} more in ${home}, which has room for ${has}. HF_HUB_CACHE names another place.`,
  );
}

function blobPath(home: string, { oid, lfs }: HubFile): string {
  return join(home, "blobs", lfs?.oid ?? oid);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? -1;
}

/** Puts one file into the snapshot: the blob that is there, or downloaded. */
async function downloadFile(job: Job, file: HubFile, snapshot: string, onBytes: (bytes: number) => void) {
  const path = join(snapshot, file.path);
  const blob = blobPath(job.home, file);
  if ((await sizeOf(path)) === file.size) return onBytes(file.size);
  const isNew = (await sizeOf(blob)) !== file.size;
  if (isNew) await downloadBlob(job, file, blob, onBytes);
  else onBytes(file.size);
  await placeBlob(blob, path, isNew);
}

async function downloadBlob(job: Job, file: HubFile, blob: string, onBytes: (bytes: number) => void): Promise<void> {
  const { hub, model, commit, door, signal } = job;
  const url = `${hub.endpoint}/${model.name}/resolve/${commit}/${file.path}`;
  const { oid, lfs, size } = file;
  const digest = lfs ? ({ kind: "sha256", hex: lfs.oid } as const) : ({ kind: "git", hex: oid } as const);
  const request = (from: number) => door.fetch(url, from > 0 ? { headers: { range: `bytes=${from}-` } } : {});
  // The name that Hugging Face's libraries give an unfinished file.
  try {
    await downloadTo(
      `${blob}.incomplete`,
      { name: url, size, digest, request, refusal: door.refusal },
      onBytes,
      signal,
    );
    await rename(`${blob}.incomplete`, blob);
  } catch (error) {
    // Another program that downloads the same file may have been faster.
    if ((await sizeOf(blob)) !== size) throw error;
  }
}
