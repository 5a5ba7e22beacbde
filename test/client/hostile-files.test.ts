/** Files that are made to fill the memory, against what the process that reads them really takes. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary.ts";

const GIGABYTE = 1024 ** 3;
/** Of a file that is refused at once, above that of a file of one row. */
const MOST_BYTES = 150e6;

const parquet = readFileSync(new URL("../shared/data/golden/parquet/snappy.parquet", import.meta.url));

/** A gigabyte of some text, compressed in members of 16 MB. */
function gigabyte(text: string): Buffer {
  const length = GIGABYTE / 64;
  return Buffer.concat(Array(64).fill(gzipSync(text.repeat(length / text.length))));
}

/** Text that grows so little that nothing shows in it that it was made to do harm. */
const line = `${randomBytes(7000).toString("base64").slice(0, 8191)}\n`;

const FILES: Readonly<Record<string, (path: string) => void>> = {
  "quote.csv.gz": (path) => writeFileSync(path, Buffer.concat([gzipSync('text\nfine\n"never closed'), gigabyte(line)])),
  "line.jsonl": (path) => writeFileSync(path, `{"text": "a"}\n{"text": "${"x".repeat(10e6)}"}\n`),
  "field.csv": (path) => writeFileSync(path, `text\na\n${"x".repeat(10e6)}\n`),
  "no-lines.jsonl.gz": (path) => writeFileSync(path, gigabyte("x")),
  "empty-lines.jsonl.gz": (path) => writeFileSync(path, gigabyte("\n")),
  "utf-16.csv": (path) => {
    writeFileSync(path, Buffer.from("\ufefftext\na\n", "utf16le"));
    truncateSync(path, GIGABYTE);
  },
  "zeros.csv": (path) => {
    writeFileSync(path, `text\n${"a row\n".repeat(50_000)}`);
    truncateSync(path, GIGABYTE);
  },
  "footer.parquet": (path) => {
    // The footer has the length that it says, most of which is a hole in the file.
    const end = Buffer.from("\0\0\0\0PAR1");
    end.writeUInt32LE(0xff00_0000);
    writeFileSync(path, "PAR1");
    truncateSync(path, 4 * GIGABYTE);
    appendFileSync(path, end);
  },
  "rows.parquet": (path) => {
    // 50 rows (a varint of zigzag 100) are 8 190 wherever the footer may count them.
    const footer = parquet.length - 8 - parquet.readUInt32LE(parquet.length - 8);
    const lying = Buffer.from(parquet);
    for (let i = footer; i < parquet.length - 8; i++) if (lying[i] === 100) lying[i] = 127 - 1;
    writeFileSync(path, lying);
  },
};

const REASONS: Readonly<Record<string, RegExp>> = {
  "quote.csv.gz": /quote\.csv\.gz:3: .*closing quote is missing/,
  "line.jsonl": /line\.jsonl:2: Is longer than 1048576 bytes/,
  "field.csv": /field\.csv:3: the row that begins there has more than/,
  "no-lines.jsonl.gz": /grows to more than 250 times its size/,
  "empty-lines.jsonl.gz": /grows to more than 250 times its size/,
  "utf-16.csv": /is UTF-16LE text; save it as UTF-8/,
  "zeros.csv": /zeros\.csv has zero bytes, so it is no text, on or shortly after line \d{5}\./,
  "footer.parquet": /says that its footer has 4278190080 bytes/,
  "rows.parquet": /rows\.parquet (is a damaged Parquet file|has fewer rows than it says)/,
};

const program = fileURLToPath(new URL("../../bench/peak.ts", import.meta.url));

/** What a command says of a file, and the most memory that it took, in bytes. */
function read(path: string): { readonly said: string; readonly peak: number } {
  const column = path.endsWith(".parquet") ? "review" : "text";
  const args = [program, "privacy", "ledger", "--data", path, "--text-column", column];
  let said: string;
  try {
    said = execFileSync(process.execPath, args, { encoding: "utf8", stdio: "pipe" });
  } catch (failure) {
    const { stdout, stderr } = failure as { stdout: string; stderr: string };
    said = `${stderr}${stdout}`;
  }
  return { said, peak: Number(/^peak (\d+)$/m.exec(said)?.[1]) };
}

// /proc is Linux's.
test.skipIf(process.platform !== "linux")(
  "hostile files are refused with file, row and reason, within little memory",
  () => {
    const folder = temporaryFolder();
    const one = join(folder, "one.csv");
    writeFileSync(one, "text\na\n");
    const usual = read(one).peak;
    for (const [name, write] of Object.entries(FILES)) {
      const path = join(folder, name);
      write(path);
      const { said, peak } = read(path);
      expect(said.replaceAll(/\s+/g, " "), name).toMatch(REASONS[name]!);
      expect(said, name).not.toMatch(/xxxx|a row/);
      expect(peak - usual, name).toBeLessThan(MOST_BYTES);
    }
  },
);
