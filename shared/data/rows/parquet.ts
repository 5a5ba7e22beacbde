import { stat } from "node:fs/promises";
import { type AsyncBuffer, type Compressors, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { ProblemError } from "../../protocol/errors.ts";
import { quote } from "../../protocol/json.ts";
import { readPart } from "../files.ts";
import { type Fields, MAX_ROW_BYTES, type Row, TITLE } from "./row.ts";

/** A page is a megabyte in most files. What one of them says of its size is not believed beyond this. */
const MAX_PAGE_BYTES = 256 * 1024 * 1024;
/** Rows that are read at once. */
const ROWS_AT_ONCE = 4096;
const MAX_ROWS = 1e8;
/** Of a file of thousands of row groups and columns some tens of megabytes. */
const MAX_FOOTER_BYTES = 128 * 1024 * 1024;

/** Rows of a Parquet file, of which only some columns are read; a row's place is its number. */
export async function* parquetRows(path: string, columns?: readonly string[]): AsyncGenerator<Row> {
  const refuse = (detail: string, cause?: unknown) =>
    new ProblemError(TITLE, `${path} ${detail}`, { status: 422, cause });
  const attempt = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (cause) {
      if (cause instanceof ProblemError) throw cause;
      throw refuse("is a damaged Parquet file, or one with features that can't be read.", cause);
    }
  };
  const file = await attempt(() => openBuffer(path));
  // Its length stands before the last four bytes.
  const end = await attempt(async () => new DataView(await file.slice(Math.max(0, file.byteLength - 8))));
  const footer = end.byteLength === 8 ? end.getUint32(0, true) : 0;
  if (footer > MAX_FOOTER_BYTES)
    throw refuse(`says that its footer has ${footer} bytes; at most ${MAX_FOOTER_BYTES} are read.`);
  const metadata = await attempt(() => parquetMetadataAsync(file));
  const rows = Number(metadata.num_rows);
  if (!(rows >= 0 && rows <= MAX_ROWS)) throw refuse(`says that it has ${rows} rows.`);
  const there = metadata.schema.slice(1).map(({ name }) => name);
  const wanted = columns?.filter((name) => there.includes(name));
  if (columns && wanted?.length === 0) {
    throw refuse(
      `has none of the columns ${columns.map(quote).join(", ")}; it has ${there.slice(0, 20).map(quote).join(", ")}.`,
    );
  }
  for (let from = 0; from < rows; from += ROWS_AT_ONCE) {
    const rowEnd = Math.min(rows, from + ROWS_AT_ONCE);
    const options = {
      file,
      metadata,
      ...(wanted && { columns: wanted }),
      rowStart: from,
      rowEnd,
      compressors: bounded,
    };
    const some = await attempt(() => parquetReadObjects(options));
    if (some.length !== rowEnd - from) throw refuse("has fewer rows than it says.");
    for (const [i, row] of some.entries()) {
      const fields = plain(row);
      yield { at: from + i + 1, ...(fields ? { fields } : TOO_LONG) };
    }
  }
}

/** A file as the library reads it, which has its own way for Node only. */
async function openBuffer(path: string): Promise<AsyncBuffer> {
  const { size: byteLength } = await stat(path);
  return {
    byteLength,
    slice: async (start, end = byteLength) => (await readPart(path, start, end)).buffer as ArrayBuffer,
  };
}

const TOO_LONG = { fault: { fault: `Has a text of more than ${MAX_ROW_BYTES} characters.` } };

/** A row's values as JSON has them; undefined if a text is too long. */
function plain(row: Readonly<Record<string, unknown>>): Fields | undefined {
  const values = Object.entries(row).map(([name, value]) => [name, withoutBigInts(value)] as const);
  if (values.some(([, value]) => typeof value === "string" && value.length > MAX_ROW_BYTES)) return undefined;
  return Object.fromEntries(values);
}

/** A value with the bigints of its lists, structs and maps as JSON can have them. */
function withoutBigInts(value: unknown): unknown {
  if (typeof value === "bigint") return numberOf(value);
  if (Array.isArray(value)) return value.map(withoutBigInts);
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutBigInts(inner)]));
}

/** A number, or the digits of one that a double can't hold. */
const numberOf = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value));

/** The library's compressors, which make room for what the file says that a page has. */
const bounded: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([name, decompress]) => [
    name,
    (input: Uint8Array, bytes: number) => {
      if (!(bytes >= 0 && bytes <= MAX_PAGE_BYTES)) throw new RangeError("a page is too large");
      return decompress!(input, bytes);
    },
  ]),
);
