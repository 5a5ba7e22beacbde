import { createReadStream } from "node:fs";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { MAX_FAULTS, parseJson, quote } from "../protocol/json.ts";
import type { ClassificationTask } from "../protocol/task.ts";

/** A text of a million characters is a book, not an example; without a limit a file without line ends fills the memory. */
export const MAX_LINE_BYTES = 1024 * 1024;

const TITLE = "The data file is not valid";
const NEWLINE = 10;

/** A row of a data file: `label` is the index into the task's labels. */
export interface Example {
  readonly text: string;
  readonly label: number;
}

/**
 * Reads rows `{"text": string, "label": integer or label name}`; other fields are ignored, blank lines skipped.
 *
 * @throws ProblemError with the line of every fault (up to a limit): broken JSON, no text, a missing or unknown label,
 *   a line that is too long or not UTF-8; or if there is no row at all or no such file
 */
export async function readExamples(path: string, task: ClassificationTask): Promise<Example[]> {
  const indices = new Map(task.labels.map(({ name }, index) => [name, index]));
  const expected = `a label's name (${task.labels.map(({ name }) => quote(name)).join(", ")}) or index (0 to ${indices.size - 1})`;
  return readRows(path, (row) => {
    const { text, label } = row;
    if (typeof text !== "string") return 'Has no "text" that is a string.';
    if (label === undefined) return `Has no "label"; it must be ${expected}.`;
    const index = typeof label === "string" ? indices.get(label) : label;
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= indices.size) {
      return `The label ${typeof label === "string" ? quote(label) : quote(JSON.stringify(label))} is unknown; it must be ${expected}.`;
    }
    return { text, label: index as number };
  });
}

/**
 * Reads the texts of rows `{"text": string}`; labels and other fields are ignored.
 *
 * @throws ProblemError as `readExamples`
 */
export async function readTexts(path: string): Promise<string[]> {
  return readRows(path, ({ text }) => (typeof text === "string" ? { text } : 'Has no "text" that is a string.')).then(
    (rows) => rows.map(({ text }) => text),
  );
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
    if (typeof text !== "string") return 'Has no "text" that is a string.';
    if (target === undefined) return 'Has no "target": the task is a generation, whose rows have the answer there.';
    if (typeof target !== "string") return 'Its "target" is no string.';
    if (target.trim() === "") return 'Its "target" is empty.';
    return { text, target, line };
  });
}

/** @param read gives the row's value, or says what is wrong with it */
async function readRows<T extends object>(
  path: string,
  read: (row: Record<string, unknown>, line: number) => T | string,
): Promise<T[]> {
  const rows: T[] = [];
  const faults: Fault[] = [];
  let number = 0;
  for await (const line of readLines(path)) {
    number += 1;
    const row = typeof line === "string" ? readLine(line, (fields) => read(fields, number)) : line.fault;
    if (typeof row === "object") rows.push(row);
    else if (row !== undefined) faults.push({ at: `${path}:${number}`, message: row });
    if (faults.length === MAX_FAULTS) {
      faults.push({ at: path, message: `Was read no further after ${MAX_FAULTS} faults.` });
      break;
    }
  }
  if (faults.length > 0) throw new ProblemError(TITLE, `${path} has lines that can't be read.`, { faults });
  if (rows.length === 0) throw new ProblemError(TITLE, `${path} has no rows.`);
  return rows;
}

/** The row's value, what is wrong with it, or undefined for a blank line. Never quotes the line: it may be private. */
function readLine<T extends object>(
  line: string,
  read: (row: Record<string, unknown>) => T | string,
): T | string | undefined {
  if (line.trim() === "") return undefined;
  let row: unknown;
  try {
    row = parseJson(line, "The line");
  } catch (error) {
    return (error as ProblemError).faults[0]?.message ?? "Is not valid JSON.";
  }
  if (typeof row !== "object" || row === null || Array.isArray(row)) return "Is not a JSON object.";
  return read(row as Record<string, unknown>);
}

/**
 * The lines of a UTF-8 file without their ends, or what is wrong with a line.
 *
 * @throws ProblemError if the file can't be read
 */
export async function* readLines(path: string): AsyncGenerator<string | { readonly fault: string }> {
  let parts: Buffer[] = [];
  let length = 0;
  let first = true;
  const finish = () => {
    const line = length > MAX_LINE_BYTES ? { fault: `Is longer than ${MAX_LINE_BYTES} bytes.` } : decode(parts, first);
    [parts, length, first] = [[], 0, false];
    return line;
  };
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
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

function decode(parts: readonly Buffer[], first: boolean): string | { fault: string } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
    return first && text.startsWith("\ufeff") ? text.slice(1) : text;
  } catch {
    return { fault: "Is not UTF-8 text." };
  }
}
