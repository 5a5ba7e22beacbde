import { ProblemError } from "../../protocol/errors.ts";
import { tableText } from "../text-encoding.ts";
import { beginsAs, textBytes } from "./bytes.ts";
import { jsonArray } from "./json-array.ts";
import { jsonLines } from "./json-lines.ts";
import { type Row, TITLE } from "./row.ts";

/** The kinds of data files. */
type Format = "jsonLines" | "jsonArray" | "delimited" | "parquet";

const BY_NAME: Readonly<Record<string, Format>> = {
  jsonl: "jsonLines",
  ndjson: "jsonLines",
  csv: "delimited",
  tsv: "delimited",
  parquet: "parquet",
};

/**
 * The rows of a data file: JSON lines, a JSON array, comma- or tab-separated values, each also compressed with gzip, or Parquet.
 * The libraries for tables are loaded when one is read, not by every command.
 *
 * @param fields that are asked for, of Parquet nothing else is read; all without it
 * @throws ProblemError if the file can't be read or isn't what its name or its beginning says
 */
export async function* rowsOf(path: string, fields?: readonly string[]): AsyncGenerator<Row> {
  switch (await formatOf(path)) {
    case "jsonLines":
      return yield* jsonLines(path);
    case "jsonArray":
      return yield* jsonArray(path);
    case "delimited":
      return yield* (await import("./delimited.ts")).delimited(path);
    case "parquet":
      return yield* (await import("./parquet.ts")).parquetRows(path, fields);
  }
}

/**
 * Whether a file without an ending, as standard input is, holds rows and no plain text: Parquet, or JSON objects.
 *
 * @throws ProblemError if it can't be read
 */
export async function holdsRows(path: string): Promise<boolean> {
  if (await beginsAs(path, PARQUET)) return true;
  for await (const chunk of textBytes(path)) return /^\ufeff?\s*(\[\s*)?\{\s*"/.test(chunk.toString("utf8", 0, 1024));
  return false;
}

/** How the names of data files may end. */
export const ROW_ENDINGS = /\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz)?$/i;

/** Whether a data file holds JSON lines, compressed or not. @throws ProblemError as `rowsOf` */
export async function isJsonLines(path: string): Promise<boolean> {
  return (await formatOf(path)) === "jsonLines";
}

/** How many rows a data file has, counted to `most`. @throws ProblemError as `rowsOf` */
export async function countRows(path: string, most: number): Promise<number> {
  let rows = 0;
  for await (const _ of rowsOf(path)) if (++rows === most) break;
  return rows;
}

const PARQUET = Buffer.from("PAR1");

/** By the name's end where it says it, else by how the file begins. */
async function formatOf(path: string): Promise<Format> {
  const [, ending = ""] = /\.([a-z]+)(?:\.gz)?$/i.exec(path) ?? [];
  const named = BY_NAME[ending.toLowerCase()];
  const isParquet = await beginsAs(path, PARQUET);
  if (isParquet !== (named === "parquet")) {
    if (isParquet) return "parquet";
    throw new ProblemError(TITLE, `${path} is no Parquet file, though it is called one.`, { status: 422 });
  }
  if (named === "jsonLines") await refuseTable(path);
  return named ?? (await sniffed(path));
}

/** @throws ProblemError for a table that is called JSONL */
async function refuseTable(path: string): Promise<void> {
  for await (const chunk of textBytes(path)) {
    const reason = tableText(chunk);
    if (reason !== undefined) throw new ProblemError(TITLE, `${path} ${reason}.`, { status: 422 });
    return;
  }
}

async function sniffed(path: string): Promise<Format> {
  for await (const chunk of textBytes(path)) {
    const start = chunk
      .toString("utf8")
      .replace(/^\ufeff/, "")
      .trimStart();
    if (start.startsWith("{")) return "jsonLines";
    if (/^\[\s*(\{|$)/.test(start)) return "jsonArray";
    return /^[^\n]*[,;\t|]/.test(start) || /^"?text"?\r?$/m.test(start.split("\n", 1)[0]!) ? "delimited" : "jsonLines";
  }
  return "jsonLines";
}
