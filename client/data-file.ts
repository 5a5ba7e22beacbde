import { createWriteStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { parseDatasetId } from "../shared/data/dataset-id.ts";
import { type DownloadWatch, hubOf } from "../shared/data/hub-address.ts";
import type { Data, DataFile } from "../shared/data/jsonl.ts";
import { longRun } from "./long-run.ts";
import { wholeNumber } from "./options.ts";
import type { Io } from "./output.ts";

/** What a file of rows may be; for help texts. */
export const FILE_FORMATS = "JSONL, JSON array, CSV, TSV or Parquet, also with .gz";
/** What may be given where rows are wanted; for help texts. */
export const ROW_FORMATS = `${FILE_FORMATS}; - for standard input; org/name:split for a data set on the hub`;

/** How a command's data files are read. */
export interface ColumnOptions {
  readonly textColumn?: string;
  readonly labelColumn?: string;
  readonly targetColumn?: string;
  readonly limit?: number;
}

const COLUMNS = {
  text: ["--text-column <name>", "the column of the texts (default: text)"],
  label: ["--label-column <name>", "the column of the labels (default: label)"],
  target: ["--target-column <name>", "the column of a generation task's answers (default: target)"],
} as const;

/** Adds the options that name columns, and the one that limits rows. */
export function withColumns(command: Command, columns: readonly (keyof typeof COLUMNS)[]): Command {
  for (const column of columns) {
    const [flags, text] = COLUMNS[column];
    command.option(flags, text);
  }
  return command.option("--limit <rows>", "of every data file read the first rows only (default: all)", wholeNumber(1));
}

/**
 * Rows as the options describe them: a file, a data set on the hub, or standard input, which is kept in a file of its own that only this user can read, until
 * the program ends.
 *
 * @throws ProblemError if a data set can't be downloaded
 */
export async function dataFile(name: string, options: ColumnOptions, io: Io): Promise<Data> {
  const { textColumn: text, labelColumn: label, targetColumn: target, limit } = options;
  const place = name === "-" ? { path: await keptInput() } : await placeOf(name, io, limit);
  const columns = { ...(text && { text }), ...(label && { label }), ...(target && { target }) };
  const isPlain = Object.keys(columns).length === 0 && limit === undefined && place.parts === undefined;
  return isPlain ? place.path : { ...place, columns, limit };
}

/** Several of them, in their order. @throws ProblemError as `dataFile` */
export async function dataFiles(names: readonly string[], options: ColumnOptions, io: Io): Promise<Data[]> {
  const given: Data[] = [];
  for (const name of names) given.push(await dataFile(name, options, io));
  return given;
}

/** A file that is there is meant, whatever it is called. */
async function placeOf(name: string, io: Io, limit: number | undefined): Promise<Pick<DataFile, "path" | "parts">> {
  const split = existsSync(name) ? undefined : parseDatasetId(name);
  if (!split) return { path: name };
  // Only here: loading Hugging Face's library would slow the start of every command down.
  const { resolveDataset } = await import("../shared/data/hub-dataset.ts");
  const kept = () => "Stopped. What came of the data set is kept; the same command goes on from there.";
  const resolve = (watch: DownloadWatch) => resolveDataset(split, hubOf(process.env), watch, limit);
  return { path: name, parts: await longRun(io, kept, resolve) };
}

async function keptInput(): Promise<string> {
  if (inputs.length === 0) removeAtEnd(inputs);
  const folder = mkdtempSync(join(tmpdir(), "softpost-input-"));
  inputs.push(folder);
  const path = join(folder, "standard-input");
  await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }));
  return path;
}

/** The folders that hold it. */
const inputs: string[] = [];

/** Removes what is in the list when the program ends, by a signal too. */
function removeAtEnd(folders: readonly string[]): void {
  const remove = () => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", remove);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const end = () => {
      // Whoever else listens, as a long run does, saves first and then exits.
      if (process.listenerCount(signal) > 1) return;
      remove();
      process.off(signal, end);
      process.kill(process.pid, signal);
    };
    process.on(signal, end);
  }
}
