import { ProblemError } from "../../protocol/errors.ts";
import { textBytes } from "./bytes.ts";
import { readObject } from "./json-lines.ts";
import { MAX_ROW_BYTES, type Row, TITLE } from "./row.ts";

/** The whole file is read before its first row. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Rows that are the objects of one JSON array; a row's place is its number in it. */
export async function* jsonArray(path: string): AsyncGenerator<Row> {
  const refuse = (detail: string) => new ProblemError(TITLE, `${path} ${detail}`, { status: 422 });
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of textBytes(path)) {
    parts.push(chunk);
    length += chunk.length;
    if (length > MAX_BYTES) {
      throw refuse(
        `is a JSON array of more than ${MAX_BYTES / 2 ** 20} MB. Write its rows on lines of their own (jq -c '.[]').`,
      );
    }
  }
  const text = decoded(Buffer.concat(parts), refuse);
  let at = 0;
  for (const row of elementsOf(text)) yield { at: ++at, ...readElement(row) };
}

/** The text of a JSON array. @throws ProblemError if it is none */
function decoded(bytes: Buffer, refuse: (detail: string) => ProblemError): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse("is not UTF-8 text.");
  }
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    throw refuse("is not JSON, though it begins like an array of rows.");
  }
  if (!Array.isArray(rows)) throw refuse("is no JSON array.");
  return text;
}

function readElement(row: string) {
  if (Buffer.byteLength(row) > MAX_ROW_BYTES) return TOO_LONG;
  return row.startsWith("{") ? readObject(row) : { fault: { fault: "Is not a JSON object." } };
}

const TOO_LONG = { fault: { fault: `Is longer than ${MAX_ROW_BYTES} bytes.` } };

/** The elements of a *valid* JSON array, as they stand in its text. */
function* elementsOf(array: string): Generator<string> {
  const end = array.lastIndexOf("]");
  let start = array.indexOf("[") + 1;
  let depth = 0;
  for (let at = start; at < end; at++) {
    const character = array[at]!;
    if (character === '"') at = endOfString(array, at);
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === "," && depth === 0) {
      yield array.slice(start, at).trim();
      start = at + 1;
    }
  }
  const last = array.slice(start, end).trim();
  if (last !== "") yield last;
}

/** Where the string ends that begins at `start`: at a quote with an even number of backslashes before it. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text[before - 1] === "\\") before--;
    if ((end - before) % 2 === 0) return end;
  }
}
