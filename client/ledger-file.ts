import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeProblem } from "../shared/data/write-problem.ts";
import { type LedgerEntry, ledgerEntrySchema } from "../shared/privacy/ledger.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { cryptoRandom } from "../shared/protocol/random.ts";
import { placeOnce } from "./file-lock.ts";
import { appendWhole, placeWhole } from "./whole-file.ts";

/** Bytes of the key that turns what is known of a data set into its name in the ledger. */
const KEY_BYTES = 32;

/** A file's lines, and how many bytes they take. A last line without its line feed is the rest of a crash and doesn't count. */
interface Lines {
  readonly lines: readonly string[];
  readonly bytes: number;
}

function readLines(path: string): Lines {
  const all = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const complete = all.subarray(0, all.lastIndexOf("\n") + 1);
  return { lines: complete.toString("utf8").split("\n").slice(0, -1), bytes: complete.length };
}

/**
 * Appends a line to a file of the ledger's folder, after its last complete one; when this returns, all of the line is on the disk.
 *
 * @throws ProblemError if it can't be written; the file is as it was then
 */
export function appendLine(folder: string, file: string, line: string): void {
  const path = join(folder, file);
  const { bytes } = readLines(path);
  writing(path, () => appendWhole(path, bytes, Buffer.from(`${line}\n`)));
}

/** Writes a file of the ledger's folder whole. @throws ProblemError if it can't be written; nothing is there then */
export function writeLedgerFile(path: string, bytes: Uint8Array): void {
  writing(path, () => placeWhole(path, bytes));
}

/** Turns whatever stops a write into a problem. */
function writing(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw writeProblem(error, path, "The privacy ledger can't be written", {
      kept: "No run begins or ends without it.",
    });
  }
}

/**
 * The entries of one ledger file. The run of a half-written line never started, so it doesn't count.
 *
 * @throws ProblemError if a complete line isn't valid: a damaged ledger must not be taken for an empty one
 */
export function readEntries(path: string): readonly LedgerEntry[] {
  return readLines(path).lines.map((line, i) => {
    const parsed = ledgerEntrySchema.safeParse(parseLine(line));
    if (parsed.success) return parsed.data;
    const faults = parsed.error.issues.map(({ path: at, message }) => ({
      at: `${path}:${i + 1} ${at.join("/")}`,
      message,
    }));
    throw damaged(path, i + 1, faults);
  });
}

/**
 * The pairs of names that one file says belong together.
 *
 * @throws ProblemError if a complete line isn't valid
 */
export function readLinks(path: string): readonly (readonly [string, string])[] {
  return readLines(path).lines.map((line, i) => {
    const [, a, b] = /^([0-9a-f]{32}) ([0-9a-f]{32})$/.exec(line) ?? [];
    if (a === undefined || b === undefined) throw damaged(path, i + 1);
    return [a, b] as const;
  });
}

const finishedSchema = z.strictObject({ runId: z.string(), time: z.iso.datetime() });

/**
 * The names of runs that one file says are finished.
 *
 * @throws ProblemError if a complete line isn't valid
 */
export function readFinished(path: string): ReadonlySet<string> {
  const names = readLines(path).lines.map((line, i) => {
    const parsed = finishedSchema.safeParse(parseLine(line));
    if (!parsed.success) throw damaged(path, i + 1);
    return parsed.data.runId;
  });
  return new Set(names);
}

function damaged(path: string, line: number, faults: readonly { at: string; message: string }[] = []): ProblemError {
  const detail = `Line ${line} of ${path} can't be read. Restore the file.`;
  return new ProblemError("The privacy ledger is damaged", detail, { faults });
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/**
 * The key of this machine, made at first use; two processes agree on one.
 *
 * @throws ProblemError if it is damaged, or missing beside what was named with it
 */
export function localKey(folder: string): Buffer {
  const path = join(folder, "key");
  // The names are read first: whoever made them made the key before.
  const named = readdirSync(folder).filter(isNamedByKey);
  if (!existsSync(path)) {
    if (named.length > 0) throw unusableKey(`${path} is missing, and ${named[0]} was named with it.`);
    const key = new Uint8Array(KEY_BYTES);
    cryptoRandom.fill(key);
    writing(path, () => placeWhole(path, key, placeOnce));
  }
  const key = readFileSync(path);
  if (key.length === KEY_BYTES) return key;
  throw unusableKey(`${path} must have ${KEY_BYTES} bytes.`);
}

const isNamedByKey = (file: string) => file === "links" || /\.(jsonl|rows)$/.test(file);

function unusableKey(why: string): ProblemError {
  const detail = `${why} Restore it: without it no ledger is found, and all that was charged would count as nothing.`;
  return new ProblemError("The ledger's key can't be used", detail);
}
