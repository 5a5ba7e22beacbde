import { createHmac } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { admit, type Budget, type LedgerEntry, ledgerEntrySchema } from "../shared/privacy/ledger.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { cryptoRandom } from "../shared/protocol/random.ts";
import { withFileLock } from "./file-lock.ts";
import { softpostHome } from "./home.ts";

/** Bytes of the key that turns a data set's digest into its name in the ledger. */
const KEY_BYTES = 32;

/** The append-only record of all private runs on one data set, on this machine. */
export interface Ledger {
  /** The data set's name: a keyed fingerprint, which tells nobody without the key what the data is. */
  readonly name: string;
  readonly path: string;
  /**
   * Charges a run *before* it starts: when this returns, the charge is on the disk. A run that was charged before, under the same
   * name, is not charged again.
   * @throws ProblemError if it would pass the budget; nothing is charged then
   */
  charge(entry: Omit<LedgerEntry, "time">, budget?: Budget): Promise<readonly LedgerEntry[]>;
  /** Everything that was charged. */
  entries(): readonly LedgerEntry[];
}

/** Where ledgers live: `$SOFTPOST_HOME/ledger`, or `~/.softpost/ledger`. */
export function ledgerFolder(): string {
  return join(softpostHome(), "ledger");
}

/**
 * Opens the ledger of a data set; it comes into being with its first charge.
 * @param digests SHA-256 of the contents of the data set's file or files, as hexadecimal digits. The file is named by their HMAC
 * with a random key of this machine, since a plain digest would give away a guessable text.
 */
export function openLedger(digests: readonly string[], folder = ledgerFolder()): Ledger {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = createHmac("sha256", localKey(folder))
    .update([...digests].sort().join("\n"))
    .digest("hex")
    .slice(0, 32);
  const path = join(folder, `${name}.jsonl`);
  return {
    name,
    path,
    entries: () => readLedger(path).entries,
    charge: (entry, budget) =>
      withFileLock(`${path}.lock`, () => {
        const { entries, bytes } = readLedger(path);
        const timed = { ...entry, time: new Date().toISOString() };
        const after = admit(entries, timed, budget);
        if (after !== entries) append(path, folder, bytes, timed);
        return after;
      }),
  };
}

/** The names of all ledgers of this machine. */
export function ledgerNames(folder = ledgerFolder()): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => (file.endsWith(".jsonl") ? [file.slice(0, -".jsonl".length)] : []));
}

/** The entries of a ledger by its name. */
export function ledgerEntries(name: string, folder = ledgerFolder()): readonly LedgerEntry[] {
  return readLedger(join(folder, `${name}.jsonl`)).entries;
}

/**
 * Reads a ledger. A last line without its line feed is the rest of a crash while it was being written: its run never started, so it
 * doesn't count.
 * @returns the entries, and how many bytes they take
 * @throws ProblemError if a complete line isn't valid: a damaged ledger must not be taken for an empty one
 */
function readLedger(path: string): { entries: readonly LedgerEntry[]; bytes: number } {
  if (!existsSync(path)) return { entries: [], bytes: 0 };
  const text = readFileSync(path, "utf8");
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = complete.split("\n").slice(0, -1);
  const entries = lines.map((line, i) => {
    const parsed = ledgerEntrySchema.safeParse(parseLine(line));
    if (parsed.success) return parsed.data;
    const faults = parsed.error.issues.map(({ path: at, message }) => ({
      at: `${path}:${i + 1} ${at.join("/")}`,
      message,
    }));
    throw new ProblemError(
      "The privacy ledger is damaged",
      `Line ${i + 1} of ${path} can't be read. Restore the file.`,
      { faults },
    );
  });
  return { entries, bytes: Buffer.byteLength(complete) };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Writes a line after the first `bytes` of the file, and waits until file and folder are on the disk. */
function append(path: string, folder: string, bytes: number, entry: LedgerEntry): void {
  const file = openSync(path, "a", 0o600);
  try {
    ftruncateSync(file, bytes);
    writeSync(file, `${JSON.stringify(entry)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(folder);
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The key of this machine, made at first use; the hard link makes two processes agree on one. */
function localKey(folder: string): Buffer {
  const path = join(folder, "key");
  if (!existsSync(path)) {
    const key = new Uint8Array(KEY_BYTES);
    cryptoRandom.fill(key);
    const own = `${path}.${crypto.randomUUID()}`;
    writeFileSync(own, key, { flag: "wx", mode: 0o600 });
    try {
      linkSync(own, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
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
