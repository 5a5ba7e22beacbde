import { createReadStream } from "node:fs";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { duplicateKeys, MAX_FAULTS, quote } from "../protocol/json.ts";
import { refuseLfsPointer } from "../protocol/lfs.ts";
import type { ClassificationTask } from "../protocol/task.ts";
import { jsonFault } from "./json-fault.ts";
import { firstBadByte, notUtf8Text, tableText } from "./text-encoding.ts";

/** A text of a million characters is a book, not an example; without a limit a file without line ends fills the memory. */
export const MAX_LINE_BYTES = 1024 * 1024;

const TITLE = "The data file is not valid";
const NO_TEXT = 'Has no "text" that is a string.';
const NEWLINE = 10;
/** Of the lines that have a fault of one kind, so many are named beside the first. */
const SHOWN_LINES = 5;

/** A row of a data file: `label` is the index into the task's labels. */
export interface Example {
  readonly text: string;
  readonly label: number;
}

/**
 * Reads rows `{"text": string, "label": integer or label name}`; other fields are ignored, blank lines skipped. Where a label of
 * the task is named by a number, numbers are names too and never indices.
 *
 * @throws ProblemError with the line of every fault (up to a limit): broken JSON, no text, a missing or unknown label,
 *   a line that is too long or not UTF-8; or if there is no row at all or no such file
 */
export async function readExamples(path: string, task: ClassificationTask): Promise<Example[]> {
  const indices = new Map(task.labels.map(({ name }, index) => [name, index]));
  const numbered = task.labels.some(({ name }) => isNumber(name));
  const byNumber = (label: unknown) => {
    if (!numbered || typeof label !== "number") return label;
    const same = task.labels.flatMap(({ name }, index) => (isNumber(name) && Number(name) === label ? [index] : []));
    return same.length === 1 ? same[0] : undefined;
  };
  const names = task.labels.map(({ name }) => quote(name)).join(", ");
  const expected = numbered
    ? `a label's name (${names}; there are numbers among them, so a number is taken for a name, not for an index)`
    : `a label's name (${names}) or index (0 to ${indices.size - 1})`;
  return readRows(path, (row) => {
    const { text, label } = row;
    if (typeof text !== "string") return NO_TEXT;
    if (label === undefined) return `Has no "label"; it must be ${expected}.`;
    const index = typeof label === "string" ? indices.get(label) : byNumber(label);
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= indices.size) {
      return `The label is ${unknownLabel(label)}; it must be ${expected}.`;
    }
    return { text, label: index as number };
  });
}

/** Whether a label's name reads as a number. */
function isNumber(name: string): boolean {
  return Number.isFinite(Number(name));
}

/** What a label is that isn't the task's, without its content: where columns were exchanged, it is a private text. */
function unknownLabel(label: unknown): string {
  if (typeof label === "string") return "a string that is no label's name";
  if (typeof label === "number") return "a number that is no label's";
  return label === null ? "null" : `of another kind (${Array.isArray(label) ? "array" : typeof label})`;
}

/**
 * Reads the texts of rows `{"text": string}`; labels and other fields are ignored.
 *
 * @throws ProblemError as `readExamples`
 */
export async function readTexts(path: string): Promise<string[]> {
  return readRows(path, ({ text }) => (typeof text === "string" ? { text } : NO_TEXT)).then((rows) =>
    rows.map(({ text }) => text),
  );
}

/** A row of texts to predict, with whatever else it has. */
export interface TextRow {
  readonly text: string;
  /** The row's other fields, in their order, as `JSON.stringify` writes them again: digit for digit, also numbers that a double can't hold. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Reads rows `{"text": string}` with their other fields.
 *
 * @throws ProblemError as `readExamples`
 */
export async function readTextRows(path: string): Promise<TextRow[]> {
  return readRows(path, ({ text }, _, line) => {
    if (typeof text !== "string") return NO_TEXT;
    const { text: __, ...fields } = JSON.parse(line, keepDigits);
    return { text, fields };
  });
}

/** A reviver for `JSON.parse`, by which an id of twenty digits stays what it is. */
function keepDigits(_: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source);
}

/**
 * Groups a file's rows by a field: those with one value are one unit of privacy. A number and the string that shows it are the same value.
 * @throws ProblemError as `readTexts`, and with the lines of rows whose field is missing, empty, or neither a string nor a number
 */
export async function readUnits(path: string, field: string): Promise<readonly (readonly number[])[]> {
  const name = quote(field);
  const keys = await readRows(path, (row) => {
    const value = Object.hasOwn(row, field) ? row[field] : undefined;
    if (value === undefined) return `Has no ${name}, the unit of privacy.`;
    if (typeof value === "number") return { key: String(value) };
    if (typeof value === "string" && value !== "") return { key: value };
    return `Its ${name}, the unit of privacy, is ${value === "" ? "empty" : "neither a string nor a number"}.`;
  });
  return [...Map.groupBy(keys.keys(), (i) => keys[i]!.key).values()];
}

/**
 * Refuses a file as public that has a private file's unit of privacy.
 * @throws ProblemError with the lines of rows that have the field
 */
export async function refuseUnits(path: string, field: string): Promise<void> {
  await readRows(path, (row) => {
    if (!Object.hasOwn(row, field)) return {};
    return `Has ${quote(field)}, the unit of privacy of the private data: a public row belongs to nobody. Remove the field, or the row.`;
  });
}

/** A row of a generation task's file, and the line that it stands in. */
export interface TargetRow {
  readonly text: string;
  readonly target: string;
  readonly line: number;
}

/**
 * Reads rows `{"text": string, "target": string}`; other fields are ignored, blank lines skipped.
 *
 * @throws ProblemError as `readExamples`, also for a target that is missing, no string, or empty
 */
export async function readTargets(path: string): Promise<TargetRow[]> {
  return readRows(path, ({ text, target }, line) => {
    if (typeof text !== "string") return NO_TEXT;
    if (target === undefined) return 'Has no "target": the task is a generation, whose rows have the answer there.';
    if (typeof target !== "string") return 'Its "target" is no string.';
    if (target.trim() === "") return 'Its "target" is empty.';
    return { text, target, line };
  });
}

/** @param read gives the row's value, or says what is wrong with it */
async function readRows<T extends object>(
  path: string,
  read: (row: Record<string, unknown>, number: number, line: string) => T | string,
): Promise<T[]> {
  const rows: T[] = [];
  const faults = new LineFaults(path);
  let number = 0;
  for await (const line of readLines(path)) {
    number += 1;
    const row = typeof line === "string" ? readLine(line, (fields) => read(fields, number, line)) : line;
    if (row === undefined) continue;
    if ("fault" in row) faults.add(number, row as LineFault);
    else rows.push(row as T);
    if (faults.isFull) break;
  }
  if (faults.list.length > 0) {
    throw new ProblemError(TITLE, `${path} has lines that can't be read.`, { faults: faults.list });
  }
  if (rows.length === 0) throw new ProblemError(TITLE, `${path} has no rows.`);
  return rows;
}

/** What is wrong with a line. */
export interface LineFault {
  /** Its kind, the same for every line that has it. */
  readonly fault: string;
  /** The character (where the line is no text, the byte) that it begins with, from 1. */
  readonly column?: number | undefined;
}

/** The faults of a file: one of each kind, with the lines that have it. */
export class LineFaults {
  private readonly path: string;
  private readonly kinds = new Map<string, { at: string; lines: number[]; count: number }>();

  constructor(path: string) {
    this.path = path;
  }

  add(line: number, { fault, column }: LineFault): void {
    const known = this.kinds.get(fault);
    if (!known) {
      const at = `${this.path}:${line}${column === undefined ? "" : `:${column}`}`;
      this.kinds.set(fault, { at, lines: [], count: 0 });
    } else if (++known.count <= SHOWN_LINES) known.lines.push(line);
  }

  get isFull(): boolean {
    return this.kinds.size >= MAX_FAULTS;
  }

  get list(): Fault[] {
    return [...this.kinds].map(([message, { at, lines, count }]) => {
      if (count === 0) return { at, message };
      const more = count === 1 ? "1 more line" : `${count} more lines`;
      return { at, message: `${message} (So in ${more}: ${lines.join(", ")}${count > lines.length ? ", …" : ""}.)` };
    });
  }
}

/** The row's value, what is wrong with it, or undefined for a blank line. Never quotes the line: it may be private. */
function readLine<T extends object>(
  line: string,
  read: (row: Record<string, unknown>) => T | string,
): T | LineFault | undefined {
  if (line.trim() === "") return undefined;
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    const { kind, column } = jsonFault(line);
    return { fault: kind, column };
  }
  if (Array.isArray(row)) return { fault: "Is a JSON array; every row must be an object on a line of its own." };
  if (typeof row !== "object" || row === null) return { fault: "Is not a JSON object." };
  if (duplicateKeys(line).length > 0) return { fault: "Has a key twice." };
  const value = read(row as Record<string, unknown>);
  return typeof value === "string" ? { fault: value } : value;
}

/**
 * The lines of a UTF-8 file without their ends, or what is wrong with a line.
 *
 * @throws ProblemError if the file can't be read
 */
export async function* readLines(path: string): AsyncGenerator<string | LineFault> {
  let parts: Buffer[] = [];
  let length = 0;
  let number = 0;
  const finish = () => {
    const line =
      length > MAX_LINE_BYTES
        ? {
            fault: `Is longer than ${MAX_LINE_BYTES} bytes. Rows stand on lines of their own, which end with LF or CRLF.`,
          }
        : decode(Buffer.concat(parts), number === 0);
    [parts, length] = [[], 0];
    number++;
    return line;
  };
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      if (number === 0 && length === 0) refuseOtherFormats(chunk, path);
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        parts.push(chunk.subarray(start, end));
        length += end - start;
        yield finish();
        start = end + 1;
      }
      length += chunk.length - start;
      // What is over the limit is counted, not kept.
      if (length <= MAX_LINE_BYTES) parts.push(chunk.subarray(start));
    }
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new ProblemError(TITLE, `${path} can't be read (${cause.code}).`, { cause });
  }
  if (length > 0) yield finish();
}

/** @throws ProblemError if a file's first bytes show that it is no UTF-8 text, a table, or a Git LFS pointer */
function refuseOtherFormats(start: Uint8Array, path: string): void {
  refuseLfsPointer(start, path, TITLE);
  const reason = notUtf8Text(start) ?? tableText(start);
  if (reason !== undefined) throw new ProblemError(TITLE, `${path} ${reason}.`, { status: 422 });
}

function decode(bytes: Uint8Array, first: boolean): string | LineFault {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return first && text.startsWith("\ufeff") ? text.slice(1) : text;
  } catch {
    return { fault: "Is not UTF-8 text, from this byte of the line on.", column: firstBadByte(bytes) };
  }
}
