import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ProblemError } from "../protocol/errors.ts";

/** A connection may break on a long way; each of these goes on where the last one ended. */
const TRIES = 5;

/** A file somewhere else whose content is known by its digest. */
export interface RemoteFile {
  /** For messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Of the content, in lower-case hex: SHA-256, or git's SHA-1 of a blob (`blob <size>\0<content>`). */
  readonly digest: { readonly kind: "sha256" | "git"; readonly hex: string };
  /** Asks for the content from byte `from` on. A server that ignores that answers with status 200 and all of it. */
  request(from: number): Promise<Response>;
}

const TITLE = "The download failed";

/**
 * Downloads a file, or what `path` doesn't have of it, and checks its digest. What came is kept when the connection breaks or the
 * program ends: the next call goes on from there. Two programs may download to the same path, since they write the same bytes to
 * the same places.
 *
 * @param path of the unfinished file; named after the digest, so that a part of another version is not continued
 * @param onBytes called with the bytes that came, those from an earlier call first
 * @throws ProblemError if the digest is wrong (the file is removed then), the connection breaks again and again, or as `request`
 */
export async function downloadTo(path: string, file: RemoteFile, onBytes: (bytes: number) => void): Promise<void> {
  const earlier = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (earlier > file.size) await rm(path, { force: true });
  else if (earlier > 0) onBytes(earlier);
  for (let attempt = 1; !(await fetchRest(path, file, onBytes)); attempt++) {
    if (attempt === TRIES) {
      const detail = `${file.name} broke off ${TRIES} times. What came is kept: the same command goes on from there.`;
      throw new ProblemError(TITLE, detail, { status: 503 });
    }
  }
  const digest = await digestOf(path, file);
  if (digest === file.digest.hex) return;
  await rm(path, { force: true });
  const detail = `${file.name} arrived damaged: its digest is ${digest}, not ${file.digest.hex}. It was removed; try again.`;
  throw new ProblemError(TITLE, detail, { status: 502 });
}

/** Writes what is missing of a file; false if the connection broke before its end. */
async function fetchRest(path: string, file: RemoteFile, onBytes: (bytes: number) => void): Promise<boolean> {
  await using handle = await open(path, constants.O_RDWR | constants.O_CREAT);
  const { size: have } = await handle.stat();
  if (have === file.size) return true;
  const { status, body } = await file.request(have);
  const start = status === 206 ? have : 0;
  onBytes(start - have);
  let left = file.size - start;
  async function* counted(chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      left -= chunk.length;
      if (left < 0) {
        throw new ProblemError(TITLE, `${file.name} is longer than the ${file.size} bytes that were announced.`);
      }
      onBytes(chunk.length);
      yield chunk;
    }
  }
  try {
    await pipeline(body ?? Readable.from([]), counted, handle.createWriteStream({ start }));
  } catch (error) {
    // A full disk is no broken connection.
    if (error instanceof ProblemError || isSystemError(error)) throw error;
    return false;
  }
  return left === 0;
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

async function digestOf(path: string, { digest, size }: RemoteFile): Promise<string> {
  const hash = createHash(digest.kind === "git" ? "sha1" : "sha256");
  if (digest.kind === "git") hash.update(`blob ${size}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
