import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { ProblemError } from "../protocol/errors.ts";
import { isPassing, Patience, retryAfter } from "./patience.ts";

/** A file somewhere else whose content is known by its digest. */
export interface RemoteFile {
  /** For messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Of the content, in lower-case hex: SHA-256, or git's SHA-1 of a blob (`blob <size>\0<content>`). */
  readonly digest: { readonly kind: "sha256" | "git"; readonly hex: string };
  /**
   * Asks for the content from byte `from` on, and gives whatever is answered.
   * @throws ProblemError for what another try won't change; anything else if there is no answer
   */
  request(from: number): Promise<Response>;
  /** What an answer means that neither has the content nor passes. */
  refusal(response: Response): Promise<ProblemError>;
}

const TITLE = "The download failed";

/**
 * Downloads a file, or what `path` doesn't have of it, and checks its digest. What came is kept when the connection breaks or the
 * program ends: the next try or call goes on from there. Tries that bring something don't count. Two programs may download to the
 * same path, since they write the same bytes to the same places.
 *
 * @param path of the unfinished file; named after the digest, so that a part of another version is not continued
 * @param onBytes called with the bytes that came, those from an earlier call first; with fewer than 0 if some are fetched anew
 * @throws ProblemError if the digest is wrong (the file is removed then), tries bring nothing again and again, or as `request` and
 *   `refusal` say
 */
export async function downloadTo(
  path: string,
  file: RemoteFile,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let shown = 0;
  const reach = (position: number) => {
    onBytes(position - shown);
    shown = position;
  };
  for (let first = true; ; first = false) {
    const inOnePiece = await fetchAll(path, file, reach, signal);
    const digest = await digestOf(path, file);
    if (digest === file.digest.hex) return;
    await rm(path, { force: true });
    // Pieces that came at different times may not belong together.
    if (!inOnePiece && first) continue;
    const detail = `${file.name} arrived damaged: its digest is ${digest}, not ${file.digest.hex}. It was removed; try again.`;
    throw new ProblemError(TITLE, detail, { status: 502 });
  }
}

/** Fetches what is missing of a file, however often it takes; says whether all of it came with one answer. */
async function fetchAll(
  path: string,
  file: RemoteFile,
  reach: (position: number) => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if ((await sizeOf(path)) > file.size) await rm(path, { force: true });
  await (await open(path, "a")).close();
  const patience = new Patience(signal);
  const earlier = await sizeOf(path);
  let [have, from, tries] = [earlier, earlier, 0];
  reach(have);
  for (; have < file.size; tries++) {
    const failure = await fetchFrom(from, path, file, reach, signal);
    const now = await sizeOf(path);
    if (now > have) patience.renew();
    else if (!(await patience.wait(failure?.pause))) throw givenUp(file, failure);
    have = now;
    from = failure?.anew ? 0 : now;
    reach(have);
  }
  return earlier === 0 && tries === 1;
}

/** Why a try ended before the file's end. */
interface Failure {
  readonly reason: string;
  /** Milliseconds that the server asks to wait. */
  readonly pause?: number | undefined;
  /** Whether asking for a part is in vain, so that the next try asks for all. */
  readonly anew?: boolean;
}

/** One try: asks for the content from a byte on, and writes what comes to where it belongs. */
async function fetchFrom(
  from: number,
  path: string,
  file: RemoteFile,
  reach: (position: number) => void,
  signal: AbortSignal | undefined,
): Promise<Failure | undefined> {
  let response: Response;
  try {
    response = await file.request(from);
  } catch (error) {
    if (error instanceof ProblemError || signal?.aborted) throw error;
    return { reason: reasonOf(error) };
  }
  const { status } = response;
  if (status === 416 || isPassing(status)) {
    await response.body?.cancel();
    return { reason: `status ${status}`, pause: retryAfter(response), anew: status === 416 };
  }
  if (status !== 200 && status !== 206) throw await file.refusal(response);
  const start = status === 206 ? startOf(response, from) : 0;
  if (start === undefined || start > from) {
    await response.body?.cancel();
    return { reason: "an answer with another part than was asked for", anew: true };
  }
  return writeFrom(start, response, path, file, reach, signal);
}

async function writeFrom(
  start: number,
  { body }: Response,
  path: string,
  file: RemoteFile,
  reach: (position: number) => void,
  signal: AbortSignal | undefined,
): Promise<Failure | undefined> {
  let position = start;
  await using handle = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    for await (const chunk of body ?? []) {
      if (position + chunk.length > file.size) {
        throw new ProblemError(TITLE, `${file.name} is longer than the ${file.size} bytes that were announced.`);
      }
      // Piece by piece: what came before a break is on the disk.
      for (let written = 0; written < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, written, chunk.length - written, position + written);
        written += bytesWritten;
      }
      position += chunk.length;
      reach(position);
    }
  } catch (error) {
    // A full disk is no broken connection.
    if (error instanceof ProblemError || isDiskError(error) || signal?.aborted) throw error;
    return { reason: reasonOf(error) };
  }
  return position === file.size ? undefined : { reason: "an answer that ended early" };
}

/**
 * The byte that a partial answer begins with: a cache may send a part from an earlier byte than it was asked for. Undefined if it
 * can't be told.
 */
function startOf({ headers }: Response, asked: number): number | undefined {
  const range = headers.get("content-range");
  if (range === null) return headers.get("content-type")?.startsWith("multipart/") ? undefined : asked;
  const start = /^bytes\s+(\d+)-\d+\//i.exec(range)?.[1];
  return start === undefined ? undefined : Number(start);
}

function givenUp(file: RemoteFile, failure: Failure | undefined): ProblemError {
  const reason = failure?.reason ?? "nothing new";
  const detail =
    `${file.name} could not be had: several tries brought nothing new, the last one ${reason}. ` +
    "What came is kept: the same command goes on from there.";
  return new ProblemError(TITLE, detail, { status: 503 });
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return `a connection that broke (${cause instanceof Error ? cause.message : message})`;
}

/** Sockets' errors have a system call too. */
function isDiskError(error: unknown): boolean {
  const { syscall, code = "" } = error as NodeJS.ErrnoException;
  return syscall !== undefined && !["ECONNRESET", "ETIMEDOUT", "EPIPE"].includes(code);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

async function digestOf(path: string, { digest, size }: RemoteFile): Promise<string> {
  const hash = createHash(digest.kind === "git" ? "sha1" : "sha256");
  if (digest.kind === "git") hash.update(`blob ${size}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
