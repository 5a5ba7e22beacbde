/** Data files as people have them: delimited, JSON arrays, Parquet, compressed; and what is made to do harm. */
import { openSync, readFileSync, writeSync } from "node:fs";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readExamples, readTargets, readTexts, readUnits, textRowsOf } from "../../../shared/data/jsonl.ts";
import { MAX_ROW_BYTES } from "../../../shared/data/rows/row.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile } from "../../helpers/temporary.ts";
import { sentiment } from "./task.ts";

const csv = (text: string | Uint8Array, name = "rows.csv") => temporaryFile(name, text);

describe("delimited files", () => {
  test("are read as RFC 4180 has them: quoted delimiters, quotes, line breaks, umlauts, a BOM", async () => {
    const path = csv(
      '\ufeffid,text,label\r\n1,"größer, ""sehr""\r\nzweite Zeile",positive\r\n\r\n2,plain,negative\r\n',
    );
    expect(await readExamples(path, sentiment)).toEqual([
      { text: 'größer, "sehr"\r\nzweite Zeile', label: 1 },
      { text: "plain", label: 0 },
    ]);
  });

  test.each([
    ["commas", ",", "rows.csv"],
    ["semicolons", ";", "rows.csv"],
    ["tabs", "\t", "rows.tsv"],
    ["bars", "|", "rows.txt"],
  ])("may have %s between their columns", async (_, delimiter, name) => {
    const lines = [
      ["text", "label"],
      ["a", "1"],
      ["b", "negative"],
    ].map((fields) => fields.join(delimiter));
    expect(await readExamples(csv(lines.join("\n"), name), sentiment)).toEqual([
      { text: "a", label: 1 },
      { text: "b", label: 0 },
    ]);
  });

  test("may have other columns, a unit and answers", async () => {
    const path = csv('body,who,answer\n"a, b",ann,x\nc,bob,"y\nz"\nd,ann,w\n');
    const data = { path, columns: { text: "body", target: "answer" } };
    expect(await readTexts(data)).toEqual(["a, b", "c", "d"]);
    expect(await readUnits(data, "who")).toEqual([[0, 2], [1]]);
    expect(await readTargets(data)).toEqual([
      { text: "a, b", target: "x", line: 2 },
      { text: "c", target: "y\nz", line: 3 },
      { text: "d", target: "w", line: 5 },
    ]);
  });

  test.each<[string, string | Uint8Array, RegExp]>([
    [
      "a quote that isn't closed",
      'text,label\na,0\n"b,1\nc,0\n',
      /rows\.csv:3: a quoted field that begins there has no closing quote/,
    ],
    ["a quote in a field", 'text,label\na,0\nb"c,1\n', /rows\.csv:3: a quote stands within a field/],
    ["a field too many", "text,label\na,0\nb,1,2\n", /rows\.csv:3: the row has another number of fields/],
    ["a column twice", "text,text\na,b\n", /rows\.csv:1: two columns are called "text"/],
    [
      "no text",
      "review,label\na,0\nb,1\n",
      /rows\.csv:2: Has no column "text"; its columns are "review", "label"\. --text-column names .*\(So in 1 more line: 3\.\)/,
    ],
    ["a label of none", "text,label\na,0\nb,2\n", /rows\.csv:3: The label is a number that is no label's/],
    ["Latin-1", Buffer.from("text,label\ngrößer,0\n", "latin1"), /is not UTF-8 text, on or shortly after line/],
    ["UTF-16", Buffer.from("text,label\na,0\n", "utf16le"), /UTF-16LE/],
    ["zero bytes", "text,label\nmany letters,0\na\0\0,0\n", /zero bytes/],
    ["no rows", "text,label\n", /has no rows/],
  ])("with %s are refused by line", async (_, text, message) => {
    const said = await rejection(readExamples(csv(text), sentiment));
    expect(said).toMatch(message);
    expect(said).not.toContain("größer");
  });

  test.each([
    [
      "Dear Ms Secret,1\nb,0\n",
      /rows\.csv:2: Has no column "text"\. The first line doesn't look like a header \(2 fields,/,
    ],
    ["secret,1\nb,0\n", /rows\.csv:2: Has no column "text"\. The first line doesn't look like a header/],
    ["secret@example.org,spam\nb,ham\n", /rows\.csv:2: Has no column "text"\. The first line doesn't/],
    ['"secret, 2",ham,x,"secret, 2"\nb,0,x,y\n', /rows\.csv:1: has a field twice and doesn't look like a header \(4/],
    ["secret,1,1\nb,0,1\n", /rows\.csv:1: has a field twice and doesn't look like a header \(3 fields, not shown\)/],
  ])("without a header are refused without a word of their first row: %j", async (text, message) => {
    for (const read of [(path: string) => readExamples(path, sentiment), readTexts]) {
      const said = await rejection(read(csv(text)));
      expect(said).toMatch(message);
      expect(said).not.toMatch(/secret/i);
    }
  });

  test("whose header looks like one are told their columns", async () => {
    expect(await rejection(readTexts(csv(",größe_2,x.y-z\n1,2,3\n")))).toMatch(
      /its columns are "", "größe_2", "x\.y-z"\. --text-column/,
    );
  });

  test("with an unclosed quote before much else are refused within bounded memory", async () => {
    const path = csv('text,label\nok,0\n"never closed,1\n');
    const file = openSync(path, "a");
    const block = Buffer.alloc(1 << 20, "a line of text that goes on, and on\n");
    for (let i = 0; i < 200; i++) writeSync(file, block);
    const before = process.memoryUsage().rss;
    expect(await rejection(readExamples(path, sentiment))).toMatch(/rows\.csv:3: .*closing quote is missing/);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  test("give back whatever texts were quoted into them", async () => {
    const field = fc
      .string({ unit: "grapheme", maxLength: 20 })
      .map((text) => text.toWellFormed().replaceAll("\0", ""));
    await fc.assert(
      fc.asyncProperty(fc.array(field, { minLength: 1, maxLength: 5 }), async (texts) => {
        const quoted = texts.map((text) => `"${text.replaceAll('"', '""')}",1`);
        const read = await readExamples(csv(`text,label\n${quoted.join("\n")}\n`), sentiment);
        expect(read).toEqual(texts.map((text) => ({ text, label: 1 })));
      }),
      { numRuns: 60 },
    );
  });
});

describe("JSON arrays", () => {
  const array = (text: string) => temporaryFile("rows.json", text);

  test("are read, however they are laid out", async () => {
    const rows = [
      { text: "a", label: 0 },
      { text: "b", label: "positive" },
    ];
    const wanted = [
      { text: "a", label: 0 },
      { text: "b", label: 1 },
    ];
    for (const text of [JSON.stringify(rows), JSON.stringify(rows, null, 2), `\ufeff ${JSON.stringify(rows)}`]) {
      expect(await readExamples(array(text), sentiment)).toEqual(wanted);
    }
    // What is called .json but has a row a line is that.
    expect(await readExamples(array(rows.map((row) => JSON.stringify(row)).join("\n")), sentiment)).toEqual(wanted);
  });

  test.each([
    ["a broken end", '[{"text": "secret"}', /is not JSON/],
    ["a row that is none", '[{"text": "secret"}, 5]', /rows\.json:2: Is not a JSON object/],
    ["a row that is an array", '[{"text": "secret"}, [{}]]', /rows\.json:2: Is not a JSON object/],
    ["a key twice", '[{"text": "a"},\n{"text": "secret", "text": "b"}]', /rows\.json:2: Has a key twice/],
  ])("with %s are refused", async (_, text, message) => {
    const said = await rejection(readTexts(array(text)));
    expect(said).toMatch(message);
    expect(said).not.toContain("secret");
  });

  test("keep the digits of numbers in the other fields", async () => {
    const rows = ['{"text": "a", "id": 12345678901234567890}', '{"text": "b", "of": [1.0, {"n": 1e400}]}'];
    const read = await Array.fromAsync(textRowsOf(array(`[${rows.join(", ")}]`)), ({ fields }) =>
      JSON.stringify(fields),
    );
    expect(read).toEqual(['{"id":12345678901234567890}', '{"of":[1.0,{"n":1e400}]}']);
  });

  test("give their rows as lines would, whatever is in them", async () => {
    const row = fc.record({
      text: fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
      more: fc.jsonValue(),
    });
    const layout = fc.constantFrom(undefined, 1, "\t");
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 4 }), layout, async (rows, space) => {
        const fields = (path: string) => Array.fromAsync(textRowsOf(path), (read) => JSON.stringify(read));
        const lines = rows.map((each) => JSON.stringify(each)).join("\n");
        const asArray = array(JSON.stringify(rows, null, space));
        expect(await fields(asArray)).toEqual(await fields(temporaryFile("rows.jsonl", lines)));
      }),
      { numRuns: 60 },
    );
  });
});

describe("Parquet files", () => {
  const golden = (name: string) => new URL(`golden/parquet/${name}.parquet`, import.meta.url).pathname;
  const columns = { text: "name", label: "label" };

  test.each(["snappy", "zstd", "gzip", "plain"])("compressed with %s are read", async (name) => {
    const rows = await readExamples({ path: golden(name), columns }, sentiment);
    expect(rows).toEqual(
      Array.from({ length: 50 }, (_, i) => ({ text: ["negative", "positive"][i % 2], label: i % 2 })),
    );
    const named = await readExamples({ path: golden(name), columns: { text: "name", label: "name" } }, sentiment);
    expect(named).toEqual(rows);
    const texts = await rejection(readTexts({ path: golden(name), columns: { text: "review" } }));
    expect(texts).toMatch(/parquet:41: Has no "review" that is a string/);
  });

  test("without the columns are told which they have", async () => {
    expect(await rejection(readTexts(golden("plain")))).toMatch(
      /has none of the columns "text"; it has "id", "review"/,
    );
  });

  test("have numbers within lists, structs and maps, as predictions are written beside", async () => {
    const read = await Array.fromAsync(textRowsOf(golden("nested")), ({ fields }) => JSON.stringify(fields));
    expect(read.map((line) => JSON.parse(line))).toEqual([
      { ids: [1, "9007199254740993"], who: { id: 7, more: [{ n: "9007199254740993" }] }, counts: { x: 2 } },
      { ids: null, who: { id: null, more: [] }, counts: {} },
    ]);
  });

  test("that lie or are damaged are refused, whatever is in them", async () => {
    const bytes = readFileSync(golden("snappy"));
    const read = (changed: Uint8Array) =>
      readTexts({ path: temporaryFile("bad.parquet", changed), columns: { text: "name" } }).then(
        (texts) => expect(texts.length).toBeLessThanOrEqual(50),
        (error) => expect(error).toBeInstanceOf(ProblemError),
      );
    await read(bytes.subarray(0, 200));
    const longFooter = Buffer.from(bytes);
    longFooter.writeUInt32LE(0xffff_fff0, bytes.length - 8);
    await read(longFooter);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (edits) => {
          const changed = Buffer.from(bytes);
          for (const [at, byte] of edits) changed[at] = byte;
          await read(changed);
        },
      ),
      { numRuns: 150 },
    );
    expect(await rejection(readTexts(temporaryFile("text.parquet", '{"text": "a"}')))).toMatch(/no Parquet file/);
  });
});

describe("compressed files", () => {
  test("are read as what they hold", async () => {
    const lines = '{"text": "a", "label": 1}\n{"text": "ü", "label": 0}\n';
    const wanted = [
      { text: "a", label: 1 },
      { text: "ü", label: 0 },
    ];
    expect(await readExamples(temporaryFile("rows.jsonl.gz", gzipSync(lines)), sentiment)).toEqual(wanted);
    expect(await readExamples(csv(gzipSync("text,label\na,1\nü,0\n"), "rows.csv.gz"), sentiment)).toEqual(wanted);
  });

  test.each([
    ["one row", Buffer.alloc(300e6, "a")],
    ["empty lines", Buffer.alloc(30e6, "\n")],
  ])("that grow out of all proportion (%s) are refused", async (_, bomb) => {
    const path = temporaryFile("bomb.jsonl.gz", gzipSync(bomb));
    expect(await rejection(readTexts(path))).toMatch(/grows to more than 250 times its size/);
  });

  test("that are cut off are refused", async () => {
    const whole = gzipSync('{"text": "a"}\n'.repeat(1000));
    expect(await rejection(readTexts(temporaryFile("cut.jsonl.gz", whole.subarray(0, -20))))).toMatch(/can't be read/);
  });
});

test("a row that is too long is refused in every format", async () => {
  const long = "x".repeat(MAX_ROW_BYTES + 1);
  expect(await rejection(readTexts(csv(`text\n${long}\n`)))).toMatch(/more than/);
  expect(await rejection(readTexts(temporaryFile("a.jsonl", JSON.stringify({ text: long }))))).toMatch(/longer than/);
  expect(await rejection(readTexts(temporaryFile("a.json", JSON.stringify([{ text: long }]))))).toMatch(/longer than/);
});
