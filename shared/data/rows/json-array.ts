import { ProblemError } from "../../protocol/errors.ts";
import { textBytes } from "./bytes.ts";
import { type Fields, type Row, TITLE } from "./row.ts";

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
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts)));
  } catch (error) {
    throw refuse(
      error instanceof TypeError ? "is not UTF-8 text." : "is not JSON, though it begins like an array of rows.",
    );
  }
  if (!Array.isArray(rows)) throw refuse("is no JSON array.");
  for (const [i, row] of rows.entries()) {
    const isObject = typeof row === "object" && row !== null && !Array.isArray(row);
    yield { at: i + 1, ...(isObject ? { fields: row as Fields } : { fault: { fault: "Is not a JSON object." } }) };
  }
}
