import { lstat, open, stat } from "node:fs/promises";
import { ProblemError } from "../protocol/errors.ts";
import { parseTask, type Task } from "../protocol/task.ts";

/** Far above any task, manifest or config file. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

const TITLE = "A file can't be read";

/**
 * A small UTF-8 file as text.
 *
 * @param limit bytes above which it is refused before it is read
 * @throws ProblemError if it can't be read, is too large or isn't UTF-8
 */
export async function readText(path: string, limit = MAX_TEXT_BYTES): Promise<string> {
  const bytes = await readBytes(path, limit);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ProblemError(TITLE, `${path} is not UTF-8 text.`, { cause });
  }
}

/**
 * A file's bytes.
 *
 * @param limit bytes above which it is refused before it is read
 * @throws ProblemError if it can't be read or is too large
 */
export async function readBytes(path: string, limit: number): Promise<Uint8Array> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > limit) throw new ProblemError(TITLE, `${path} has ${size} bytes; at most ${limit} are read.`);
    return await file.readFile();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT" && (await isLink(path))) {
      throw new ProblemError(TITLE, `${path} is a link to a file that isn't there.`);
    }
    return unreadable(path)(cause);
  }
}

/**
 * The bytes of a file from `begin` to `end` (exclusive).
 *
 * @throws ProblemError if it can't be read or ends before
 */
export async function readPart(path: string, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  try {
    await using file = await open(path);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, done, bytes.length - done, begin + done);
      if (bytesRead === 0) throw new ProblemError(TITLE, `${path} became shorter while it was read.`);
      done += bytesRead;
    }
    return bytes;
  } catch (cause) {
    return unreadable(path)(cause);
  }
}

/** Turns what the file system says into a problem. */
export function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new ProblemError(TITLE, `${path} can't be read (${cause.code}).`, { cause });
  };
}

/** A link to nothing is no file that a folder may lack: there was one. */
async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
}

/**
 * A task file.
 *
 * @throws ProblemError if it can't be read, or with every fault and its JSON pointer
 */
export async function readTask(path: string): Promise<Task> {
  return parseTask(await readText(path), path);
}

/** Whether there is something at a path. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Whether there is a folder at a path. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
