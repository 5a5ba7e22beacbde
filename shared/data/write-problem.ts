import { ProblemError } from "../protocol/errors.ts";

/** What the system's refusals mean, and what to do. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "your share of the disk is used up; free some space",
  EFBIG: "a file may not be so large there; raise the limit (ulimit -f), or write to another disk",
  EROFS: "the disk is read-only; write elsewhere",
  EACCES: "the permissions don't allow it; change them, or write elsewhere",
  EPERM: "the system doesn't allow it; write elsewhere",
  EIO: "the disk fails; look into the system's log, and write elsewhere",
};

/**
 * What is thrown in place of an error that came while something was written: a problem if the file system refused, else the error itself.
 *
 * @param path what was to be written, as the user knows it
 * @param options.inside where it is written until it is whole
 * @param options.kept what is kept and how to go on
 */
export function writeProblem(
  error: unknown,
  path: string,
  title: string,
  { inside = path, kept = "" }: { readonly inside?: string; readonly kept?: string } = {},
): unknown {
  const { code = "", path: named } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || error instanceof ProblemError || !/^E[A-Z0-9]+$/.test(code)) return error;
  const isOther = named !== undefined && !named.startsWith(inside);
  const what = isOther ? `${named} can't be used` : `${path} can't be written`;
  const why = code in ADVICE ? `: ${ADVICE[code]}` : "";
  return new ProblemError(title, `${what} (${code})${why}.${kept && ` ${kept}`}`, { cause: error });
}

/** What a disk does to any program that writes, as a problem; undefined for all else. */
export function diskProblem(error: unknown): ProblemError | undefined {
  const { code = "", path = "A file" } = (error ?? {}) as NodeJS.ErrnoException;
  if (!(error instanceof Error) || !(code in ADVICE)) return undefined;
  return new ProblemError("The disk can't be used", `${path} can't be used (${code}): ${ADVICE[code]}.`, {
    cause: error,
  });
}
