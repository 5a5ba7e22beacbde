import { Readable } from "node:stream";
import { type CsvError, type Info, parse } from "csv-parse";
import { ProblemError } from "../../protocol/errors.ts";
import { quote } from "../../protocol/json.ts";
import { textBytes } from "./bytes.ts";
import { countFields, shownColumns } from "./header.ts";
import { MAX_ROW_BYTES, type Row, TITLE } from "./row.ts";

/** What may stand between the columns, in the order in which they are preferred. */
const DELIMITERS = [",", ";", "\t", "|"] as const;

/** What a fault of the library means to who wrote the file. */
const FAULTS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: "a quoted field that begins there has no closing quote",
  CSV_MAX_RECORD_SIZE: `the row that begins there has more than ${MAX_ROW_BYTES} characters; most likely a closing quote is missing`,
  CSV_INVALID_CLOSING_QUOTE: "a quoted field goes on behind its closing quote; a quote within one is written twice",
  INVALID_OPENING_QUOTE:
    "a quote stands within a field that isn't quoted; quote the whole field, and write the quote twice",
  CSV_RECORD_INCONSISTENT_COLUMNS:
    "the row has another number of fields than the header; a field with a delimiter or a line break must be quoted",
};

/** Rows of a file of delimited fields with a header (RFC 4180), all of whose values are text. */
export async function* delimited(path: string): AsyncGenerator<Row> {
  const text = decoded(path);
  const { value: start = "" } = await text.next();
  const whole = (async function* () {
    yield start;
    yield* text;
  })();
  const parser = parse({
    columns: (header: string[]) => namesOf(header, path),
    delimiter: delimiterOf(start),
    bom: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
  });
  const source = Readable.from(whole);
  source.on("error", (error) => parser.destroy(error));
  source.pipe(parser);
  // The header's line, then the last line of the row before.
  let ended = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: Record<string, string>; info: Info }>) {
      const isLong = Object.values(record).some((value) => value.length > MAX_ROW_BYTES);
      yield { at: ended + 1, ...(isLong ? TOO_LONG : { fields: record, textOnly: true }) };
      ended = info.lines;
    }
  } catch (error) {
    if (error instanceof ProblemError || !(error instanceof Error && "code" in error)) throw error;
    const { code, lines = ended } = error as CsvError & { lines?: number };
    const place = code === "CSV_QUOTE_NOT_CLOSED" || code === "CSV_MAX_RECORD_SIZE" ? ended + 1 : lines;
    const detail = `${path}:${place}: ${FAULTS[code] ?? "is no delimited text (RFC 4180)"}.`;
    throw new ProblemError(TITLE, detail, { status: 422, cause: code });
  } finally {
    source.destroy();
  }
}

const TOO_LONG = { fault: { fault: `Has a field of more than ${MAX_ROW_BYTES} characters.` } };

/** The file's text. @throws ProblemError with the line that isn't UTF-8 */
async function* decoded(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let line = 1;
  const decode = (bytes: Uint8Array, stream: boolean) => {
    try {
      return decoder.decode(bytes, { stream });
    } catch {
      throw new ProblemError(TITLE, `${path} is not UTF-8 text, on or shortly after line ${line}.`, { status: 422 });
    }
  };
  for await (const chunk of textBytes(path)) {
    const text = decode(chunk, true);
    if (chunk.includes(0)) {
      throw new ProblemError(TITLE, `${path} has zero bytes, so it is no text, on or shortly after line ${line}.`, {
        status: 422,
      });
    }
    yield text;
    for (const byte of chunk) if (byte === 10) line++;
  }
  const rest = decode(new Uint8Array(), false);
  if (rest !== "") yield rest;
}

/** The delimiter that the header has most of. */
function delimiterOf(start: string): string {
  const header = start.replaceAll(/"(?:[^"]|"")*"/g, "").split(/\r?\n/, 1)[0]!;
  const count = (delimiter: string) => header.split(delimiter).length;
  return DELIMITERS.reduce((best, each) => (count(each) > count(best) ? each : best));
}

function namesOf(header: readonly string[], path: string): string[] {
  const names = header.map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return names;
  const detail =
    shownColumns(names) === undefined
      ? `has a field twice and doesn't look like a header (${countFields(names.length)}, not shown); put one before it.`
      : `two columns are called ${quote(twice)}.`;
  throw new ProblemError(TITLE, `${path}:1: ${detail}`, { status: 422 });
}
