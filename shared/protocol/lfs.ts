import { ProblemError } from "./errors.ts";

/** How a Git LFS pointer begins; the specification wants this line first. */
const START = "version https://git-lfs.github.com/spec/";

/**
 * Refuses a Git LFS pointer, which a clone without LFS has in place of a large file.
 *
 * @param start of the file: 8 characters or bytes are enough
 * @param name of the file, for messages
 * @throws ProblemError that says what to do
 */
export function refuseLfsPointer(start: string | Uint8Array, name: string, title: string): void {
  const text = typeof start === "string" ? start : new TextDecoder("latin1").decode(start.subarray(0, START.length));
  const length = Math.min(START.length, text.length);
  if (length < 8 || text.slice(0, length) !== START.slice(0, length)) return;
  const detail =
    `${name} is a Git LFS pointer, which stands in for the file in a repository that was cloned without its large files. ` +
    "Run git lfs install and git lfs pull there, or name the model by its hub id.";
  throw new ProblemError(title, detail, { status: 422 });
}
