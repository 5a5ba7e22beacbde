/** What begins files that aren't text; see each format's specification. */
const MAGIC: readonly (readonly [string, string])[] = [
  ["28b52ffd", "is compressed with Zstandard; uncompress it first"],
  ["425a68", "is compressed with bzip2; uncompress it first"],
  ["fd377a585a00", "is compressed with xz; uncompress it first"],
  ["504b0304", "is a zip archive or an office document; save its rows as UTF-8 text"],
  ["4152524f5731", "is an Arrow file; save its rows as JSONL (pandas' to_json with orient='records' and lines=True)"],
];

/**
 * What keeps a file from being UTF-8 text, by its first bytes; undefined if nothing shows there.
 *
 * @param start up to the first 64 kB
 */
export function notUtf8Text(start: Uint8Array): string | undefined {
  const hex = Buffer.from(start.subarray(0, 8)).toString("hex");
  const magic = MAGIC.find(([bytes]) => hex.startsWith(bytes))?.[1];
  if (magic !== undefined) return magic;
  if (hex.startsWith("fffe0000") || hex.startsWith("0000feff")) return asUtf8("UTF-32");
  if (hex.startsWith("fffe")) return asUtf8("UTF-16LE");
  if (hex.startsWith("feff")) return asUtf8("UTF-16BE");
  // JSON's own signs have a zero byte in wider encodings, and no zero byte in UTF-8.
  const zeros = [0, 0, 0, 0];
  for (const [i, byte] of start.entries()) if (byte === 0) zeros[i % 4]!++;
  const [a, b, c, d] = zeros as [number, number, number, number];
  if (a + b + c + d === 0) return undefined;
  const quarter = start.length / 4;
  if (zeros.filter((count) => count > quarter / 2).length === 3) return asUtf8("UTF-32");
  if (b + d > 2 * (a + c)) return asUtf8("UTF-16LE");
  if (a + c > 2 * (b + d)) return asUtf8("UTF-16BE");
  return "has zero bytes, so it is no text";
}

/** What separates columns, by name. */
const SEPARATORS: readonly (readonly [string, string])[] = [
  ["\t", "tabs"],
  [";", "semicolons"],
  [",", "commas"],
  ["|", "bars"],
];

/** What a text is whose first line is a table's head and no JSON; undefined for anything else. Nothing of it is quoted. */
export function tableText(start: Uint8Array): string | undefined {
  const line = Buffer.from(start)
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)[0]!
    .trim();
  // A row that lacks only its quotes or braces is better told so.
  if (/^[[{'\u2018-\u201f]/.test(line) || line.includes(":")) return undefined;
  const columns = SEPARATORS.map(([sign, name]) => ({ count: line.split(sign).length, name }));
  const { count, name } = columns.find((each) => each.count > 1) ?? { count: 1, name: "" };
  // A sentence has commas too, each with a space behind it.
  if (count === 1 || (name === "commas" && /, /.test(line) && !line.includes('"'))) return undefined;
  return (
    `looks like a table (CSV) of ${count} columns with ${name} between them, not like JSONL, where each row is an object on a line of its own. ` +
    "If it is one, give it a name that ends in .csv"
  );
}

function asUtf8(encoding: string): string {
  return `is ${encoding} text; save it as UTF-8 (iconv -f ${encoding} -t UTF-8)`;
}

/** The first byte, counted from 1, from which on bytes can't be UTF-8. */
export function firstBadByte(bytes: Uint8Array): number {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      // What is cut within a character may still become one.
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      good = middle;
    } catch {
      bad = middle;
    }
  }
  return bad;
}
