import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Data } from "../shared/data/jsonl.ts";

/** What may be given where rows are wanted; for help texts. */
export const ROW_FORMATS = "JSONL, JSON array, CSV, TSV or Parquet, also with .gz; - for standard input";

/** What the columns of a command's data files are called. */
export interface ColumnOptions {
  readonly textColumn?: string;
  readonly labelColumn?: string;
  readonly targetColumn?: string;
}

const COLUMNS = {
  text: ["--text-column <name>", "the column of the texts (default: text)"],
  label: ["--label-column <name>", "the column of the labels (default: label)"],
  target: ["--target-column <name>", "the column of a generation task's answers (default: target)"],
} as const;

/** Adds the options that name columns. */
export function withColumns(command: Command, columns: readonly (keyof typeof COLUMNS)[]): Command {
  return columns.reduce((all, column) => {
    const [flags, text] = COLUMNS[column];
    return all.option(flags, text);
  }, command);
}

/** A data file as the options describe it. Standard input is kept in a file of its own, which only this user can read, until the program ends. */
export async function dataFile(
  path: string,
  { textColumn: text, labelColumn: label, targetColumn: target }: ColumnOptions,
): Promise<{ readonly path: string; readonly data: Data }> {
  const local = path === "-" ? await keptInput() : path;
  const columns = { ...(text && { text }), ...(label && { label }), ...(target && { target }) };
  return { path: local, data: Object.keys(columns).length === 0 ? local : { path: local, columns } };
}

async function keptInput(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-input-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "standard-input");
  await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }));
  return path;
}
