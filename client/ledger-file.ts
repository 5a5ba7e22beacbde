import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type LedgerEntry, ledgerEntrySchema } from "../shared/privacy/ledger.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { cryptoRandom } from "../shared/protocol/random.ts";
import { placeOnce } from "./file-lock.ts";

/** Bytes of the key that turns what is known of a data set into its name in the ledger. */
const KEY_BYTES = 32;

/** A file's lines, and how many bytes they take. A last line without its line feed is the rest of a crash and doesn't count. */
interface Lines {
  readonly lines: readonly string[];
  readonly bytes: number;
}

function readLines(path: string): Lines {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  return { lines: complete.split("\n").slice(0, -1), bytes: Buffer.byteLength(complete) };
}

/**
 * Appends a line to a file of the ledger's folder, after its last complete one, and waits until file and folder are on the disk.
 */
export function appendLine(folder: string, file: string, line: string): void {
  const path = join(folder, file);
  const { bytes } = readLines(path);
  const handle = openSync(path, "a", 0o600);
  try {
    ftruncateSync(handle, bytes);
    writeSync(handle, `${line}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  syncFolder(folder);
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

/** The key of this machine, made at first use; two processes agree on one. */
export function localKey(folder: string): Buffer {
  const path = join(folder, "key");
  if (!existsSync(path)) {
    const key = new Uint8Array(KEY_BYTES);
    cryptoRandom.fill(key);
    const own = `${path}.${crypto.randomUUID()}`;
    writeFileSync(own, key, { flag: "wx", mode: 0o600 });
    placeOnce(own, path);
    unlinkSync(own);
    syncFolder(folder);
  }
  const key = readFileSync(path);
  if (key.length === KEY_BYTES) return key;
  throw new ProblemError(
    "The ledger's key is damaged",
    `${path} must have ${KEY_BYTES} bytes. Restore it: without it no ledger is found.`,
  );
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
