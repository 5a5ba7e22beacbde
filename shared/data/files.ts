import { lstat, open } from "node:fs/promises";
import { ProblemError } from "../protocol/errors.ts";
import { parseTask, type Task } from "../protocol/task.ts";

/** Far above any task, manifest or config file. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

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
    throw new ProblemError("A file can't be read", `${path} is not UTF-8 text.`, { cause });
  }
}

/**
 * A file's bytes.
 *
 * @param limit bytes above which it is refused before it is read
 * @throws ProblemError if it can't be read or is too large
 */
export async function readBytes(path: string, limit: number): Promise<Uint8Array> {
  const title = "A file can't be read";
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > limit) throw new ProblemError(title, `${path} has ${size} bytes; at most ${limit} are read.`);
    return await file.readFile();
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    if (cause.code === "ENOENT" && (await isLink(path)))
      throw new ProblemError(title, `${path} is a link to a file that isn't there.`);
    throw new ProblemError(title, `${path} can't be read (${cause.code}).`, { cause });
  }
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
