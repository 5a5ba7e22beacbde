import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { admit, type Budget, type LedgerEntry } from "../shared/privacy/ledger.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { withFileLock } from "./file-lock.ts";
import { softpostHome } from "./home.ts";
import { appendLine, localKey, readEntries, readFinished, readLinks } from "./ledger-file.ts";
import { countOf, fingerprint, keepRows, keptRows, type Repeated, sharedRows } from "./row-fingerprints.ts";

/** Pairs of data sets whose runs count together. */
const LINKS = "links";
/** The runs that have a result. */
const FINISHED = "finished";
const LOCK = "lock";

/** What a private run learns from. */
export interface PrivateData {
  readonly texts: Iterable<string> | AsyncIterable<string>;
  /**
   * SHA-256 of the contents of the file or files, as hexadecimal digits. Ledgers of softpost 0.1.0 are named by them, and go on
   * counting.
   */
  readonly fileDigests: readonly string[];
  /** What the user calls the data set, or the name of another one in the ledger. All that is called so counts together. */
  readonly dataset?: string | undefined;
}

/** What the ledger knows of a data set's rows from others, which were charged and don't count together with it. */
export interface Overlap {
  /** Rows of this data set that are in another one. */
  readonly known: number;
  /** Whether they are most of this one's rows, or most of another one's. */
  readonly most: boolean;
  readonly others: readonly { readonly name: string; readonly runs: number }[];
}

/** The append-only record of all private runs on one data set, on this machine. */
export interface Ledger {
  /** The data set's name: a keyed fingerprint, which tells nobody without the key what the data is. */
  readonly name: string;
  /** Different rows of the data set. */
  readonly rows: number;
  /** Texts that stand often among them. */
  readonly repeated: Repeated;
  /**
   * Charges a run *before* it starts: when this returns, the charge is on the disk. A run that was charged before, under the same
   * name, is not charged again.
   * @returns everything that was charged on the data set, this run included
   * @throws ProblemError if it would pass the budget, or can't be written; nothing is charged then
   */
  charge(entry: Omit<LedgerEntry, "time">, budget?: Budget): Promise<readonly LedgerEntry[]>;
  /** Everything that was charged. */
  entries(): readonly LedgerEntry[];
  overlap(): Overlap;
}

/** Where ledgers live: `$SOFTPOST_HOME/ledger`, or `~/.softpost/ledger`. */
export function ledgerFolder(): string {
  return join(softpostHome(), "ledger");
}

/**
 * Opens the ledger of a data set; it comes into being with its first charge. Identical rows are one data set whatever the file,
 * and count together with what `dataset` names.
 */
export async function openLedger(data: PrivateData, folder = ledgerFolder()): Promise<Ledger> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const prints = await fingerprint(data.texts, localKey(folder));
  const { name } = prints;
  const bytesName = keyedName([...data.fileDigests].sort().join("\n"), folder);
  const together = [
    ...(existsSync(entriesPath(folder, bytesName)) ? [bytesName] : []),
    ...(data.dataset === undefined ? [] : [datasetName(data.dataset, folder)]),
  ];
  const own = together.map((other) => [name, other] as const);
  const members = () => connected(name, [...links(folder), ...own]);
  const entries = () => entriesOf(members(), folder);
  return {
    name,
    rows: countOf(prints.rows),
    repeated: prints.repeated,
    entries,
    overlap: () => overlapOf(prints.rows, members(), folder),
    charge: (entry, budget) =>
      withFileLock(join(folder, LOCK), () => {
        const before = entries();
        const timed = { ...entry, time: new Date().toISOString() };
        const after = admit(before, timed, budget);
        keepRows(rowsPath(folder, name), prints);
        const known = new Set(links(folder).map(String));
        for (const link of own) if (!known.has(String(link))) appendLine(folder, LINKS, link.join(" "));
        if (after !== before) appendLine(folder, `${name}.jsonl`, JSON.stringify(timed));
        return after;
      }),
  };
}

/** The names of the runs that are finished; a ledger from before that was kept knows of none. */
export function finishedRuns(folder = ledgerFolder()): ReadonlySet<string> {
  return readFinished(join(folder, FINISHED));
}

/**
 * Writes down that a run is finished; when the promise is kept, that is on the disk.
 * @returns false if it was finished before
 */
export function finishRun(runId: string, folder = ledgerFolder()): Promise<boolean> {
  return withFileLock(join(folder, LOCK), () => {
    if (finishedRuns(folder).has(runId)) return false;
    appendLine(folder, FINISHED, JSON.stringify({ runId, time: new Date().toISOString() }));
    return true;
  });
}

/** A data set of this machine's ledger and everything that was charged on it. */
export interface ChargedData {
  readonly name: string;
  readonly entries: readonly LedgerEntry[];
}

/** All data sets of this machine that were charged; those that count together are one. */
export function chargedData(folder = ledgerFolder()): ChargedData[] {
  const seen = new Set<string>();
  return ledgerNames(folder).flatMap((name) => {
    if (seen.has(name)) return [];
    const members = connected(name, links(folder));
    for (const member of members) seen.add(member);
    return [{ name, entries: entriesOf(members, folder) }];
  });
}

/**
 * What was charged on the data set that the user calls so, or that has this name in the ledger.
 *
 * @throws ProblemError if there is none
 */
export function namedData(dataset: string, folder = ledgerFolder()): ChargedData {
  const name = existsSync(folder) ? datasetName(dataset, folder) : "";
  const entries = entriesOf(connected(name, links(folder)), folder);
  if (entries.length > 0) return { name, entries };
  throw new ProblemError("The ledger has no such data set", `No private run was charged as --dataset ${dataset}.`);
}

function ledgerNames(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => (file.endsWith(".jsonl") ? [file.slice(0, -".jsonl".length)] : []));
}

/** What the user calls a data set is kept as a keyed fingerprint too. */
function datasetName(dataset: string, folder: string): string {
  return ledgerNames(folder).includes(dataset) ? dataset : keyedName(`dataset\n${dataset}`, folder);
}

function keyedName(text: string, folder: string): string {
  return createHmac("sha256", localKey(folder)).update(text).digest("hex").slice(0, 32);
}

const entriesPath = (folder: string, name: string) => join(folder, `${name}.jsonl`);
const rowsPath = (folder: string, name: string) => join(folder, `${name}.rows`);
const links = (folder: string) => readLinks(join(folder, LINKS));

/** The names that are linked with `name`, directly or by others, itself included. */
function connected(name: string, pairs: readonly (readonly [string, string])[]): ReadonlySet<string> {
  const members = new Set([name]);
  for (let size = 0; size < members.size; ) {
    size = members.size;
    for (const [a, b] of pairs) if (members.has(a) || members.has(b)) members.add(a).add(b);
  }
  return members;
}

/** All entries of some ledgers in the order of their time, a run once. */
function entriesOf(members: ReadonlySet<string>, folder: string): readonly LedgerEntry[] {
  const runs = new Map<string, LedgerEntry>();
  for (const member of members) {
    for (const entry of readEntries(entriesPath(folder, member))) runs.set(entry.runId, entry);
  }
  return [...runs.values()].sort((a, b) => (a.time < b.time ? -1 : 1));
}

function overlapOf(rows: Uint8Array, members: ReadonlySet<string>, folder: string): Overlap {
  const all = new Uint8Array(countOf(rows));
  const others: { name: string; runs: number }[] = [];
  let most = false;
  for (const name of ledgerNames(folder)) {
    if (members.has(name)) continue;
    const other = keptRows(rowsPath(folder, name));
    const shared = sharedRows(rows, other);
    if (!shared.includes(1)) continue;
    shared.forEach((is, i) => {
      if (is) all[i] = 1;
    });
    others.push({ name, runs: readEntries(entriesPath(folder, name)).length });
    most ||= 2 * ones(shared) > countOf(other);
  }
  const known = ones(all);
  return { known, most: most || 2 * known > all.length, others };
}

const ones = (marks: Uint8Array): number => marks.reduce((sum, mark) => sum + mark, 0);
