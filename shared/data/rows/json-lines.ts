import { duplicateKeys } from "../../protocol/json.ts";
import { jsonFault } from "../json-fault.ts";
import { firstBadByte } from "../text-encoding.ts";
import { textBytes } from "./bytes.ts";
import { type Fields, type LineFault, MAX_ROW_BYTES, type Row } from "./row.ts";

const NEWLINE = 10;

/** Rows that stand on lines of their own, as JSON objects; blank lines are none. */
export async function* jsonLines(path: string): AsyncGenerator<Row> {
  let at = 0;
  for await (const line of readLines(path)) {
    at += 1;
    if (typeof line !== "string") yield { at, fault: line };
    else if (line.trim() !== "") yield { at, ...readObject(line) };
  }
}

/** The fields of a row that is JSON, or what is wrong with it. Never quotes it: it may be private. */
export function readObject(
  line: string,
): { readonly fields: Fields; readonly json: string } | { readonly fault: LineFault } {
  const refuse = (fault: string, column?: number) => ({ fault: { fault, column } });
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    const { kind, column } = jsonFault(line);
    return refuse(kind, column);
  }
  if (Array.isArray(row)) return refuse("Is a JSON array; every row must be an object on a line of its own.");
  if (typeof row !== "object" || row === null) return refuse("Is not a JSON object.");
  if (duplicateKeys(line).length > 0) return refuse("Has a key twice.");
  return { fields: row as Fields, json: line };
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
      length > MAX_ROW_BYTES
        ? {
            fault: `Is longer than ${MAX_ROW_BYTES} bytes. Rows stand on lines of their own, which end with LF or CRLF.`,
          }
        : decode(parts.length === 1 ? parts[0]! : Buffer.concat(parts), number === 0);
    [parts, length] = [[], 0];
    number++;
    return line;
  };
  for await (const chunk of textBytes(path)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      length += end - start;
      yield finish();
      start = end + 1;
    }
    length += chunk.length - start;
    // What is over the limit is counted, not kept.
    if (length <= MAX_ROW_BYTES) parts.push(chunk.subarray(start));
  }
  if (length > 0) yield finish();
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array, first: boolean): string | LineFault {
  if (bytes.length === 0) return "";
  try {
    const text = decoder.decode(bytes);
    return first && text.startsWith("\ufeff") ? text.slice(1) : text;
  } catch {
    return { fault: "Is not UTF-8 text, from this byte of the line on.", column: firstBadByte(bytes) };
  }
}
