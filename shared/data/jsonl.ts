import { createHash } from "node:crypto";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { MAX_FAULTS, quote } from "../protocol/json.ts";
import type { ClassificationTask } from "../protocol/task.ts";
import { unreadable } from "./files.ts";
import { hashFile } from "./model-files.ts";
import { countFields, shownColumns } from "./rows/header.ts";
import { rowsOf } from "./rows/open.ts";
import { type Fields, type LineFault, type Row, TITLE } from "./rows/row.ts";
import { unitKey } from "./same-text.ts";

/** Rows, and what their columns are called where not as here. */
export interface DataFile {
  /** The file, or what it is called in messages if there are several. */
  readonly path: string;
  readonly columns: Partial<Columns>;
  /** The files that it is made of, in their order; `path` alone without it. */
  readonly parts?: readonly string[] | undefined;
  /** Only so many rows are read, the first ones. */
  readonly limit?: number | undefined;
}

/** The names of the columns that rows are made of. */
export interface Columns {
  readonly text: string;
  readonly label: string;
  readonly target: string;
}

const COLUMNS: Columns = { text: "text", label: "label", target: "target" };

/** A data file whose columns have the usual names may be given by its path. */
export type Data = string | DataFile;

export const pathOf = (data: Data): string => (typeof data === "string" ? data : data.path);

/** @throws ProblemError for a limit that is no number of rows: none would be kept to */
function asFile(data: Data): DataFile {
  if (typeof data === "string") return { path: data, columns: {} };
  const { path, limit } = data;
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1)) return data;
  const message = "It must be a whole number of at least 1.";
  throw new ProblemError("The options are not valid", `${path}: limit: ${message}`, {
    status: 422,
    faults: [{ at: "limit", message }],
  });
}

/** The files that hold the rows. */
export const partsOf = (data: Data): readonly string[] => {
  const { path, parts = [path] } = asFile(data);
  return parts;
};

/** SHA-256 of what is read: of the file's bytes, or of those of all parts with the limit. @throws ProblemError if a file can't be read */
export async function dataDigest(data: Data): Promise<string> {
  const { limit } = asFile(data);
  const parts = await Promise.all(
    partsOf(data).map(async (path) => (await hashFile(path).catch(unreadable(path))).sha256),
  );
  if (parts.length === 1 && limit === undefined) return parts[0]!;
  return createHash("sha256").update(JSON.stringify({ parts, limit })).digest("hex");
}

/** The same, and which columns are read where they aren't the usual ones: two readings of one file are different rows. */
export async function rowsDigest(data: Data): Promise<string> {
  const digest = await dataDigest(data);
  const columns = columnsOf(data);
  if (JSON.stringify(columns) === JSON.stringify(COLUMNS)) return digest;
  return createHash("sha256").update(JSON.stringify({ digest, columns })).digest("hex");
}

const columnsOf = (data: Data): Columns => ({ ...COLUMNS, ...asFile(data).columns });

/** A field of the row itself, not of every object. */
const own = (row: Fields, name: string): unknown => (Object.hasOwn(row, name) ? row[name] : undefined);

/** That a row lacks a column. A table lacks it in every row: then its columns are named, and the option that takes another. */
function lacks(row: Fields, what: keyof Columns, name: string, textOnly = false): string | undefined {
  if (!textOnly || Object.hasOwn(row, name)) return undefined;
  const names = Object.keys(row);
  const shown = shownColumns(names);
  if (shown === undefined) {
    return `Has no column ${quote(name)}. The first line doesn't look like a header (${countFields(names.length)}, not shown): put one before it, or name its column by --${what}-column.`;
  }
  return `Has no column ${quote(name)}; its columns are ${shown}. --${what}-column names the one to take.`;
}

const noText = (row: Fields, { text }: Columns, textOnly?: boolean) =>
  lacks(row, "text", text, textOnly) ?? `Has no ${quote(text)} that is a string.`;

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
export async function readExamples(data: Data, task: ClassificationTask): Promise<Example[]> {
  return Array.fromAsync(examplesOf(data, task));
}

/** The same one by one. @throws ProblemError as `readExamples`, behind the last row */
export function examplesOf(data: Data, task: ClassificationTask): AsyncGenerator<Example> {
  const columns = columnsOf(data);
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
  return eachRow(data, [columns.text, columns.label], (row, { textOnly }) => {
    const [text, label] = [own(row, columns.text), own(row, columns.label)];
    if (typeof text !== "string") return noText(row, columns, textOnly);
    const lacking = lacks(row, "label", columns.label, textOnly);
    if (lacking !== undefined) return lacking;
    if (label === undefined) return `Has no ${quote(columns.label)}; it must be ${expected}.`;
    const written = textOnly && typeof label === "string" && !indices.has(label) && /^\d+$/.test(label);
    const value = written ? Number(label) : label;
    const index = typeof value === "string" ? indices.get(value) : byNumber(value);
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= indices.size) {
      return `The label is ${unknownLabel(value)}; it must be ${expected}.`;
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
export async function readTexts(data: Data): Promise<string[]> {
  return Array.fromAsync(textsOf(data));
}

/** The same one by one, for files whose texts together fill the memory. @throws ProblemError as `readExamples`, behind the last text */
export async function* textsOf(data: Data): AsyncGenerator<string> {
  const columns = columnsOf(data);
  const rows = eachRow(data, [columns.text], (row, { textOnly }) => {
    const text = own(row, columns.text);
    return typeof text === "string" ? { text } : noText(row, columns, textOnly);
  });
  for await (const { text } of rows) yield text;
}

/** The first few texts. @throws ProblemError for faults before them */
export async function firstTexts(data: Data, most: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const text of textsOf(data)) {
    if (texts.length >= most) break;
    texts.push(text);
  }
  return texts;
}

/** How many texts there are. @throws ProblemError as `readExamples` */
export async function countTexts(data: Data): Promise<number> {
  let texts = 0;
  for await (const _ of textsOf(data)) texts += 1;
  return texts;
}

/** A row of texts to predict, with whatever else it has. */
export interface TextRow {
  readonly text: string;
  /** The row's other fields, in their order, as `JSON.stringify` writes them again: digit for digit, also numbers that a double can't hold. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Reads rows `{"text": string}` with their other fields, one by one.
 *
 * @throws ProblemError as `readExamples`, behind the last row
 */
export function textRowsOf(data: Data): AsyncGenerator<TextRow> {
  const columns = columnsOf(data);
  return eachRow(data, undefined, (row, { json, textOnly }) => {
    const text = own(row, columns.text);
    if (typeof text !== "string") return noText(row, columns, textOnly);
    const { [columns.text]: _, ...fields } = json === undefined ? row : (JSON.parse(json, keepDigits) as Fields);
    return { text, fields };
  });
}

/** A reviver for `JSON.parse`, by which an id of twenty digits stays what it is. */
function keepDigits(_: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source);
}

/** How often each label stands in a file, by its name, the most frequent first. */
export type LabelCounts = ReadonlyMap<string, number>;

/** A column of so many different values has no labels. */
export const MOST_LABELS_READ = 1000;

/**
 * Reads what labels a file has, where there is no task yet that names them; behind {@link MOST_LABELS_READ} different ones no more.
 *
 * @throws ProblemError with the lines whose label is missing, or neither a string nor a whole number
 */
export async function readLabels(data: Data): Promise<LabelCounts> {
  const columns = columnsOf(data);
  const name = quote(columns.label);
  const rows = eachRow(data, [columns.text, columns.label], (row, { textOnly }) => {
    const [text, label] = [own(row, columns.text), own(row, columns.label)];
    if (typeof text !== "string") return noText(row, columns, textOnly);
    if (typeof label === "string" || Number.isInteger(label)) return { label: String(label) };
    return lacks(row, "label", columns.label, textOnly) ?? `Has no ${name} that is a string or a whole number.`;
  });
  const counts = new Map<string, number>();
  for await (const { label } of rows) {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (counts.size > MOST_LABELS_READ) break;
  }
  return new Map([...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)));
}

/**
 * Groups a file's rows by a field: those with one value are one unit of privacy.
 * @throws ProblemError as `readUnitValues`
 */
export async function readUnits(data: Data, field: string): Promise<readonly (readonly number[])[]> {
  return groupedRows(await readUnitValues(data, field));
}

/** The numbers of the rows that have one value, for each value. */
export function groupedRows(values: readonly string[]): readonly (readonly number[])[] {
  return [...Map.groupBy(values.keys(), (i) => values[i]!).values()];
}

/**
 * Reads whose each row is: the value of a field, in the form of {@link unitKey}. A number and the string that shows it are the same value.
 * @throws ProblemError as `readTexts`, and with the lines of rows whose field is missing, empty, or neither a string nor a number
 */
export async function readUnitValues(data: Data, field: string): Promise<string[]> {
  const name = quote(field);
  const rows = await readRows(data, [field], (row, { json }) => {
    const value = own(row, field);
    if (value === undefined) return `Has no ${name}, the unit of privacy.`;
    if (typeof value === "number") return { key: unitKey(digitsOf(value, field, json)) };
    if (typeof value !== "string") return `Its ${name}, the unit of privacy, is neither a string nor a number.`;
    const key = unitKey(value);
    return key === "" ? `Its ${name}, the unit of privacy, is empty.` : { key };
  });
  return rows.map(({ key }) => key);
}

/** A field's number as its row has it, where that is JSON: a double holds no id of twenty digits. */
function digitsOf(value: number, field: string, json: string | undefined): string {
  if (json === undefined || Number.isSafeInteger(value)) return String(value);
  const exact = (JSON.parse(json, keepDigits) as Fields)[field];
  return typeof exact === "number" ? String(exact) : (exact as { readonly rawJSON: string }).rawJSON;
}

/**
 * Refuses a file as public that has a private file's unit of privacy.
 * @throws ProblemError with the lines of rows that have the field
 */
export async function refuseUnits(data: Data, field: string): Promise<void> {
  const rows = eachRow(data, [columnsOf(data).text, field], (row) => {
    if (!Object.hasOwn(row, field)) return {};
    return `Has ${quote(field)}, the unit of privacy of the private data: a public row belongs to nobody. Remove the field, or the row.`;
  });
  for await (const _ of rows);
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
export async function readTargets(data: Data): Promise<TargetRow[]> {
  return Array.fromAsync(targetsOf(data));
}

/** The same one by one. @throws ProblemError as `readTargets`, behind the last row */
export function targetsOf(data: Data): AsyncGenerator<TargetRow> {
  const columns = columnsOf(data);
  const name = quote(columns.target);
  return eachRow(data, [columns.text, columns.target], (row, { at: line, textOnly }) => {
    const [text, target] = [own(row, columns.text), own(row, columns.target)];
    if (typeof text !== "string") return noText(row, columns, textOnly);
    const lacking = lacks(row, "target", columns.target, textOnly);
    if (lacking !== undefined) return lacking;
    if (target === undefined) return `Has no ${name}: the task is a generation, whose rows have the answer there.`;
    if (typeof target !== "string") return `Its ${name} is no string.`;
    if (target.trim() === "") return `Its ${name} is empty.`;
    return { text, target, line };
  });
}

async function readRows<T extends object>(...of: Parameters<typeof eachRow<T>>): Promise<T[]> {
  return Array.fromAsync(eachRow(...of));
}

/**
 * Rows one by one; behind the first fault only further faults are looked for.
 *
 * @param fields that are asked for; all without it
 * @param read gives the row's value, or says what is wrong with it
 */
async function* eachRow<T extends object>(
  data: Data,
  fields: readonly string[] | undefined,
  read: (row: Fields, place: Omit<Extract<Row, { fields: Fields }>, "fields">) => T | string,
): AsyncGenerator<T> {
  const { path, limit = Number.POSITIVE_INFINITY } = asFile(data);
  let rows = 0;
  for (const part of partsOf(data)) {
    const faults = new LineFaults(part);
    for await (const given of rowsOf(part, fields)) {
      if (rows === limit || faults.isFull) break;
      rows += 1;
      if (given.fields === undefined) {
        faults.add(given.at, given.fault);
        continue;
      }
      const row = read(given.fields, given);
      if (typeof row === "string") faults.add(given.at, { fault: row });
      else if (faults.isEmpty) yield row;
    }
    if (!faults.isEmpty) {
      throw new ProblemError(TITLE, `${part} has lines that can't be read.`, { faults: faults.list });
    }
  }
  if (rows === 0) throw new ProblemError(TITLE, `${path} has no rows.`);
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

  get isEmpty(): boolean {
    return this.kinds.size === 0;
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
