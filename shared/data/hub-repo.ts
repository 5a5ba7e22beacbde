import { mkdir, readFile, rename, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { datasetInfo, listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { COMMIT, type DownloadWatch, type Hub, type HubRepo, NOUNS, notFound } from "./hub-address.ts";
import { cacheFolder, placeBlob } from "./hub-cache.ts";
import { isPassing, Patience, retryAfter } from "./patience.ts";
import { byWayOf } from "./proxy.ts";
import { downloadTo } from "./resumable.ts";

/** A model's folder has some tens of files, a repository with many checkpoints some thousands. */
const MAX_FILES = 20_000;
/** A token has some forty characters. */
const MAX_TOKEN_BYTES = 4096;

const notDownloaded = ({ kind }: HubRepo) => `The ${NOUNS[kind]} can't be downloaded`;

export const fileSchema = z.object({
  /** In the repository; it can't lead out of it. */
  path: z.string().refine((path) => path.split("/").every((name) => /^(?!\.{1,2}$)[^\\\0]+$/.test(name))),
  size: z.int().nonnegative(),
  /** Git's SHA-1; of a large file it is that of a pointer, and `lfs.oid` is the SHA-256 of the content. */
  oid: z.string().regex(COMMIT),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
});
export type HubFile = z.output<typeof fileSchema>;

/** A commit of a repository on the hub, and the way to it. */
export interface RemoteCommit {
  readonly hub: Hub;
  readonly repo: HubRepo;
  readonly commit: string;
  readonly door: Door;
  /** For lists. */
  readonly listing: typeof fetch;
  /** Its folder in the cache. */
  readonly home: string;
  /** The folder of this commit's files. */
  readonly snapshot: string;
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
 * Downloads from a repository into the cache, as Hugging Face's libraries lay it out: `blobs/<digest>`, links to them in
 * `snapshots/<commit>`, and the commit's id in `refs/<revision>`, which is written last.
 *
 * Hugging Face's library lists the files. It doesn't download them, since it neither continues a file nor checks its digest.
 *
 * @param work downloads what is wanted of the commit
 * @throws ProblemError if the hub can't be reached or doesn't give the repository, there is no room for it, or a file arrives damaged
 */
export async function withCommit<T>(
  repo: HubRepo,
  hub: Hub,
  { signal }: DownloadWatch,
  work: (from: RemoteCommit) => Promise<T>,
): Promise<T> {
  try {
    const door = openDoor(hub, repo, await readToken(hub), signal);
    const listing = patient(door, repo, signal);
    const commit = await resolveRevision(repo, hub, listing);
    const home = cacheFolder(hub, repo);
    const snapshot = join(home, "snapshots", commit);
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(home, "blobs"), { recursive: true });
    const done = await work({ hub, repo, commit, door, listing, home, snapshot, signal });
    if (repo.revision !== commit) {
      const ref = join(home, "refs", repo.revision);
      await mkdir(dirname(ref), { recursive: true });
      await writeFile(ref, commit);
    }
    return done;
  } catch (cause) {
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    throw new ProblemError(notDownloaded(repo), `The cache ${hub.cache} can't be written: ${cause.message}.`, {
      cause,
    });
  }
}

async function readToken({ token, tokenFile }: Hub): Promise<string | undefined> {
  if (token !== undefined) return token;
  const size = (await stat(tokenFile).catch(() => undefined))?.size ?? 0;
  return size > 0 && size <= MAX_TOKEN_BYTES ? (await readFile(tokenFile, "utf8")).trim() : undefined;
}

function openDoor({ endpoint }: Hub, repo: HubRepo, token: string | undefined, signal: AbortSignal | undefined): Door {
  if (!URL.canParse(endpoint)) throw new ProblemError(notFound(repo), `HF_ENDPOINT ${endpoint} is no URL.`);
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
      const title = unknown || status === 403 ? notFound(repo) : notDownloaded(repo);
      const detail = `${nothingHere(repo)}, and ${url} answered ${status}: ${advice(status, repo, token)}.`;
      return new ProblemError(title, detail, { status: unknown ? 404 : 502 });
    },
  };
}

/** `fetch` for the lists: what passes is waited for, and every failure is a ProblemError. */
function patient({ fetch: once, refusal }: Door, repo: HubRepo, signal: AbortSignal | undefined): typeof fetch {
  return async (input, init) => {
    const patience = new Patience(signal);
    for (;;) {
      const response = await once(input, init).catch((cause: Error) => cause);
      if (response instanceof Error) {
        if (signal?.aborted) throw response;
        if (isClosedConnection(response) && (await patience.wait(undefined))) continue;
        const reason = response.cause ?? response.message;
        const detail = `${nothingHere(repo)}, and ${input} can't be reached${byWayOf(String(input))} (${reason}).`;
        throw new ProblemError(notDownloaded(repo), detail, { status: 502, cause: response });
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

/** That a name was taken for the hub's because nothing here has it. */
const nothingHere = ({ kind, name }: HubRepo) => `There is no ${kind === "model" ? "folder" : "file"} ${name}`;

function advice(status: number, { kind }: HubRepo, token: string | undefined): string {
  const noun = NOUNS[kind];
  const given = token === undefined ? "set HF_TOKEN" : "the token that is set doesn't give access to it";
  if (status === 401) return `there is no such ${noun}, or it is private or gated (${given})`;
  if (status === 403) return `the ${noun} is gated: accept its terms on the hub (${given})`;
  if (status === 404) return `there is no such ${noun} or revision`;
  return "try again later";
}

/** The commit that a branch, tag or short id is now. */
async function resolveRevision(repo: HubRepo, { endpoint }: Hub, hubFetch: typeof fetch): Promise<string> {
  const { kind, name, revision } = repo;
  const request = { name, revision, hubUrl: endpoint, fetch: hubFetch, additionalFields: ["sha" as const] };
  const info = kind === "model" ? modelInfo(request) : datasetInfo(request);
  const { sha } = await understood<{ readonly sha: string }>(info, repo, endpoint);
  if (COMMIT.test(sha)) return sha;
  throw new ProblemError(notFound(repo), `${endpoint} gave no commit for ${name}@${revision}.`, { status: 502 });
}

/**
 * The files of a commit, by path.
 * @param recursive also those that aren't in its root
 */
export async function filesOf(
  { hub, repo, commit, listing }: RemoteCommit,
  recursive: boolean,
): Promise<Map<string, HubFile>> {
  const { kind: type, name } = repo;
  const request = { repo: { type, name }, revision: commit, hubUrl: hub.endpoint, fetch: listing, recursive };
  const entries = listFiles(request);
  const files = new Map<string, HubFile>();
  for (let count = 0; ; count++) {
    const entry = await understood(entries.next(), repo, hub.endpoint);
    if (entry.done) return files;
    const file = fileSchema.safeParse(entry.value);
    if (count === MAX_FILES || (entry.value.type === "file" && !file.success)) {
      const detail = `${hub.endpoint} gave no usable list of the files of ${name} (of at most ${MAX_FILES}).`;
      throw new ProblemError(notFound(repo), detail, { status: 502 });
    }
    if (file.success && entry.value.type === "file") files.set(file.data.path, file.data);
  }
}

/** What the library throws at an answer that isn't what it should be is no bug of ours. */
async function understood<T>(promise: Promise<T>, repo: HubRepo, endpoint: string): Promise<T> {
  return promise.catch((cause: Error) => {
    if (cause instanceof ProblemError || cause.name === "AbortError") throw cause;
    throw new ProblemError(notFound(repo), `${endpoint} gave an answer that is not understood (${cause.message}).`, {
      status: 502,
      cause,
    });
  });
}

/** Downloads files into the commit's snapshot. @throws ProblemError as `withCommit` */
export async function downloadAll(
  from: RemoteCommit,
  files: readonly HubFile[],
  { onEvent }: DownloadWatch,
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  await requireRoom(from, files);
  onEvent?.({ kind: "phase", name: `download of ${from.repo.name}`, total, unit: "bytes" });
  let done = 0;
  for (const file of files) {
    await downloadFile(from, file, (bytes) => {
      done += bytes;
      onEvent?.({ kind: "progress", done });
    });
  }
}

/** Refuses a download that would fill the disk, before it begins. */
async function requireRoom({ home, repo, snapshot }: RemoteCommit, files: readonly HubFile[]): Promise<void> {
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
    notDownloaded(repo),
    `${repo.name} needs ${needs} more in ${home}, which has room for ${has}. HF_HUB_CACHE names another place.`,
  );
}

function blobPath(home: string, { oid, lfs }: HubFile): string {
  return join(home, "blobs", lfs?.oid ?? oid);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? -1;
}

/** Puts one file into the snapshot: the blob that is there, or downloaded. */
export async function downloadFile(
  from: RemoteCommit,
  file: HubFile,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  const path = join(from.snapshot, file.path);
  const blob = blobPath(from.home, file);
  if ((await sizeOf(path)) === file.size) return onBytes(file.size);
  const isNew = (await sizeOf(blob)) !== file.size;
  if (isNew) await downloadBlob(from, file, blob, onBytes);
  else onBytes(file.size);
  await mkdir(dirname(path), { recursive: true });
  await placeBlob(blob, path, isNew);
}

async function downloadBlob(
  from: RemoteCommit,
  file: HubFile,
  blob: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { hub, repo, commit, door, signal } = from;
  const place = repo.kind === "model" ? repo.name : `datasets/${repo.name}`;
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const url = `${hub.endpoint}/${place}/resolve/${commit}/${path}`;
  const { oid, lfs, size } = file;
  const digest = lfs ? ({ kind: "sha256", hex: lfs.oid } as const) : ({ kind: "git", hex: oid } as const);
  const request = (start: number) => door.fetch(url, start > 0 ? { headers: { range: `bytes=${start}-` } } : {});
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
