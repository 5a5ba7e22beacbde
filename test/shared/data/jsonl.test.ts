import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonFault } from "../../../shared/data/json-fault.ts";
import { readExamples, readTexts, readUnits, refuseUnits } from "../../../shared/data/jsonl.ts";
import { readLines } from "../../../shared/data/rows/json-lines.ts";
import { MAX_ROW_BYTES } from "../../../shared/data/rows/row.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile } from "../../helpers/temporary.ts";
import { sentiment } from "./task.ts";

test("rows are read with labels by index or name; blank lines and other fields are ignored", async () => {
  const path = temporaryFile(
    "train.jsonl",
    '\ufeff{"text": "héllo 🤖", "label": 1}\r\n\n{"label": "negative", "text": "a\\nb", "id": 7}\n   \n{"text": "", "label": 0}',
  );
  expect(await readExamples(path, sentiment)).toEqual([
    { text: "héllo 🤖", label: 1 },
    { text: "a\nb", label: 0 },
    { text: "", label: 0 },
  ]);
  expect(await readTexts(path)).toEqual(["héllo 🤖", "a\nb", ""]);
});

test("where labels have numbers for names, numbers are names, as texts are", async () => {
  const stars = { ...sentiment, labels: ["1", "2", "3"].map((name) => ({ name, words: [` ${name}`] })) };
  const rows = (labels: string) =>
    temporaryFile("stars.jsonl", [...labels].map((label) => `{"text": "a", "label": ${label}}`).join("\n"));
  const texts = temporaryFile("texts.jsonl", '{"text": "a", "label": "1"}\n{"text": "a", "label": "3"}');
  const classes = async (path: string, task = stars) => (await readExamples(path, task)).map(({ label }) => label);
  expect(await classes(rows("13"))).toEqual([0, 2]);
  expect(await classes(texts)).toEqual([0, 2]);
  expect(await rejection(classes(rows("103")))).toMatch(
    /:2: The label is a number that is no label.s; .*a number is taken for a name/,
  );
  const reversed = { ...sentiment, labels: [stars.labels[0]!, { name: "0", words: [" no"] }] };
  expect(await classes(rows("10"), reversed)).toEqual([0, 1]);
  const half = {
    ...sentiment,
    labels: [{ name: "1.0", words: ["a"] }, { name: "01", words: ["b"] }, stars.labels[1]!],
  };
  expect(await classes(rows("2"), half)).toEqual([2]);
  expect(await rejection(classes(rows("1"), half))).toMatch(/The label is a number that is no label.s/);
});

test("every fault is reported with its line, and no text is quoted", async () => {
  const lines = [
    '{"text": "secret", "label": 0}',
    '{"text": "secret", "label": 0',
    '{"text": "secret"}',
    '{"text": "secret", "label": "neutral"}',
    '{"text": "secret", "label": 2}',
    '{"text": "secret", "label": 0.5}',
    '{"text": "secret", "label": null}',
    '{"text": 5, "label": 0}',
    '["secret"]',
    '{"text": "secret", "text": "secret", "label": 0}',
    `{"text": "${"x".repeat(MAX_ROW_BYTES)}", "label": 0}`,
    '{"text": "secret", "label": {"note": "secret"}}',
    '{"text": "secret", "label": 1}',
  ];
  const path = temporaryFile("train.jsonl", lines.join("\n"));
  const text = await rejection(readExamples(path, sentiment));
  expect(text).not.toContain("secret");
  const faults = text.split("\n").slice(1);
  expect(faults.map((fault) => fault.slice(path.length + 1))).toEqual([
    "2:30: Ends within the object: its closing brace is missing.",
    expect.stringMatching(/^3: Has no "label"; it must be .*"negative", "positive".*0 to 1/),
    expect.stringMatching(/^4: The label is a string that is no label's name; it must be/),
    expect.stringMatching(/^5: The label is a number that is no label's; .* \(So in 1 more line: 6\.\)$/),
    expect.stringMatching(/^7: The label is null/),
    '8: Has no "text" that is a string.',
    "9: Is a JSON array; every row must be an object on a line of its own.",
    "10: Has a key twice.",
    expect.stringMatching(/^11: Is longer than 1048576 bytes\. Rows stand on lines of their own/),
    expect.stringMatching(/^12: The label is of another kind \(object\)/),
  ]);
});

test("lines with one kind of fault are counted, and named once", async () => {
  const path = temporaryFile("train.jsonl", "{}\n".repeat(1000));
  expect(await rejection(readExamples(path, sentiment))).toBe(
    `The data file is not valid: ${path} has lines that can't be read.\n` +
      `${path}:1: Has no "text" that is a string. (So in 999 more lines: 2, 3, 4, 5, 6, ….)`,
  );
});

/** Lines as other programs write them, where each stops being JSON, and why. The text of the private row is "secret". */
const LINES: readonly (readonly [string, string, number, RegExp])[] = [
  ["a comma after the row", '{"text": "secret", "label": 0},', 31, /comma after the row/],
  ["a comma before the brace", '{"text": "secret", "label": 0,}', 30, /comma before the end of the object/],
  ["a comma in an array", '{"a": [1, 2,], "text": "secret"}', 12, /comma before the end of the array/],
  ["single quotes", "{'text': 'secret', 'label': 0}", 2, /single quotes/],
  ["a single-quoted value", `{"text": 'secret'}`, 10, /single quotes/],
  ["typographic quotes", '{“text”: "secret"}', 2, /typographic quotes/],
  ["a key without quotes", '{text: "secret"}', 2, /key without quotes/],
  ["Python's word", '{"text": "secret", "label": None}', 29, /word of another language/],
  ["NaN", '{"text": "secret", "label": NaN}', 29, /word of another language/],
  ["a value without quotes", '{"text": secret}', 10, /value without quotes/],
  ["no value", '{"text": , "label": 0}', 10, /Lacks a value/],
  ["no colon", '{"text" "secret"}', 9, /Lacks a colon/],
  ["no comma", '{"text": "secret" "label": 0}', 19, /Lacks a comma/],
  ["a quote in the text", '{"text": "a "secret" b"}', 14, /a quote in a string isn't written \\"/],
  ["a tab in the text", '{"text": "a\tsecret"}', 12, /tab or another control character/],
  ["a backslash", '{"text": "C:\\secret"}'.replace("\\\\", "\\"), 13, /backslash in a string that begins no escape/],
  ["a line break in the text", '{"text": "secret', 10, /string without an end/],
  ["a number with a zero in front", '{"text": "secret", "label": 01}', 29, /number in a form/],
  ["a number with a sign", '{"text": "secret", "label": +1}', 29, /number in a form/],
  ["an end in the middle", '{"text": "secret", "label":', 28, /Ends where a value should stand/],
  ["two rows", '{"text": "secret"} {"text": "b"}', 20, /second object on the line/],
  ["lines that end with CR", '{"text": "secret"}\r{"text": "b"}', 20, /carriage return/],
  ["a comment", '{"text": "secret"} // mine', 20, /comment/],
  ["a no-break space", '{"text":\u00a0"secret"}', 9, /invisible character/],
  ["a second byte order mark", '\ufeff\ufeff{"text": "secret"}', 1, /invisible character/],
  ["prose", "secret words", 1, /row is an object in braces/],
  ["characters above the basic plane", '{"text": "🤖🤖", "label": 0,}', 26, /comma before the end/],
  ["an array's first line", '[{"text": "secret"},', 1, /spread over several lines/],
  ["a bracket alone", "  [", 3, /spread over several lines/],
  ["a field alone", '    "text": "secret",', 5, /spread over several lines/],
  ["deep nesting", "[".repeat(200_000), 1, /nested too deeply|spread over/],
];
test.each(LINES)("%s is told with its column, and not quoted", async (_, line, column, kind) => {
  const path = temporaryFile("train.jsonl", `${line}\n${line}\n`.replace(/^\ufeff\ufeff/, "\ufeff\ufeff"));
  const text = await rejection(readTexts(path));
  expect(text).not.toContain("secret");
  expect(text.split("\n")[1]).toMatch(kind);
  expect(text.split("\n")[1]!.slice(path.length)).toMatch(new RegExp(`^:1:${column}: `));
});

test.each(["secret,0", '"secret, too",0', "secret;0", "secret\t0"])(
  "the table %j is called one, and not quoted",
  async (line) => {
    const text = await rejection(readTexts(temporaryFile("train.jsonl", `${line}\n${line}\n`)));
    expect(text).toMatch(/looks like a table \(CSV\) of [23] columns/);
    expect(text).not.toContain("secret");
  },
);

test("an array over many lines is one fault of one kind", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({ text: `secret ${i}`, label: 0 }));
  const pretty = await rejection(readTexts(temporaryFile("train.jsonl", JSON.stringify(rows, null, 2))));
  expect(pretty.split("\n").length).toBe(2);
  expect(pretty).toMatch(
    /:1:1: Is a part of JSON that is spread over several lines.*jq.*\(So in 241 more lines: 2, 3, 4, 5, 6, ….\)$/,
  );
  const oneLine = await rejection(readTexts(temporaryFile("train.jsonl", JSON.stringify(rows))));
  expect(oneLine).toMatch(/:1: Is a JSON array; every row must be an object on a line of its own/);
});

/** `{"text": "Grüße"}` as `iconv` writes it, and files that are no text. */
const row = '{"text": "Grüße", "label": 0}\n';
const wide = (order: "le" | "be", text: string) => {
  const bytes = Buffer.from(text, "utf16le");
  return order === "le" ? bytes : bytes.swap16();
};
test.each<[string, Uint8Array, RegExp]>([
  [
    "UTF-16 with a mark",
    wide("le", `\ufeff${row}`),
    /is UTF-16LE text; save it as UTF-8 \(iconv -f UTF-16LE -t UTF-8\)/,
  ],
  ["UTF-16, the other way round", wide("be", `\ufeff${row}`), /is UTF-16BE text/],
  ["UTF-16 without a mark", wide("le", row), /is UTF-16LE text/],
  ["the other one without a mark", wide("be", row), /is UTF-16BE text/],
  [
    "UTF-16 of Chinese",
    wide("le", '{"text": "零一二三四五六七八九十零一二三四五六七八九十", "label": 0}'),
    /UTF-16LE text/,
  ],
  ["UTF-32", Buffer.from([...row].flatMap((c) => [c.charCodeAt(0), 0, 0, 0])), /is UTF-32 text/],
  ["UTF-32 with a mark", Buffer.from([0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0]), /is UTF-32 text/],
  ["a spreadsheet", Buffer.from("PK\x03\x04"), /zip archive or an office document/],
  ["damaged Parquet", Buffer.from("PAR1\x15"), /damaged Parquet file/],
  ["zero bytes", Buffer.from(`{"text": "a\0\0"}`), /has zero bytes/],
  [
    "a Git LFS pointer",
    Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 5\n`),
    /Git LFS pointer.*git lfs pull/,
  ],
  ["Latin-1", Buffer.from(row, "latin1"), /train\.jsonl:1:13: Is not UTF-8 text, from this byte/],
  ["a character cut in two", Buffer.from(row).subarray(0, 13), /train\.jsonl:1:13: Is not UTF-8 text/],
])("%s is called by its name", async (_, bytes, message) => {
  const path = temporaryFile("train.jsonl", bytes);
  expect(await rejection(readTexts(path))).toMatch(message);
});

test.each(["text,label\nsecret,0", '"text";"label"\n"secret";0'])(
  "a table that is called JSONL is told what it is called",
  async (table) => {
    const said = await rejection(readTexts(temporaryFile("rows.jsonl", table)));
    expect(said).toMatch(/looks like a table \(CSV\) of 2 columns.*ends in \.csv/);
    expect(said).not.toContain("secret");
  },
);

test("an empty file and a missing one are named", async () => {
  expect(await rejection(readTexts(temporaryFile("empty.jsonl", "\n\n")))).toMatch(/has no rows/);
  expect(await rejection(readTexts("/nowhere/x.jsonl"))).toMatch(/\/nowhere\/x\.jsonl can't be read \(ENOENT\)/);
});

test("lines that span many reads are put together", async () => {
  const lines = Array.from({ length: 5 }, (_, i) => "é".repeat(60_000 + i));
  const read: unknown[] = [];
  for await (const line of readLines(temporaryFile("long.txt", lines.join("\n")))) read.push(line);
  expect(read).toEqual(lines);
});

test("whatever bytes come, only a ProblemError is thrown", async () => {
  const valid = '{"text": "a", "label": 0}\n{"text": "b", "label": "positive"}\n';
  const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, byte] of changes) bytes[at] = byte;
      const rows = await readExamples(temporaryFile("fuzz.jsonl", bytes), sentiment).catch((error) => error);
      if (Array.isArray(rows)) for (const { label } of rows) expect([0, 1]).toContain(label);
      else expect(rows).toBeInstanceOf(ProblemError);
    }),
    { numRuns: 200 },
  );
});

test("what JSON.parse refuses has a fault with a column on the line", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    ":",
    ",",
    " ",
    "a",
    "0",
    "-",
    ".",
    "\\",
    "\t",
    "\ufeff",
    "true",
    "🤖",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const line = parts.join("");
      let valid = true;
      try {
        JSON.parse(line);
      } catch {
        valid = false;
      }
      if (valid) return;
      const { kind, column } = jsonFault(line);
      expect(kind).toMatch(/\.$/);
      expect(column).toBeGreaterThanOrEqual(line.trim() === "" ? 0 : 1);
      expect(column).toBeLessThanOrEqual([...line].length + 1);
    }),
    { numRuns: 3000 },
  );
});

test("rows are grouped by the unit of privacy; a number and the text that shows it are one", async () => {
  const users = ['"ann"', "7", '"7"', '"ann"', '"__proto__"', "-0", "0", '"\\u0061nn"'];
  const path = temporaryFile("rows.jsonl", users.map((user) => `{"text": "a", "user": ${user}}`).join("\n"));
  expect(await readUnits(path, "user")).toEqual([[0, 3, 7], [1, 2], [4], [5, 6]]);
});

test("one person's values are one unit, in whatever form they come", async () => {
  const forms = [
    ['"Ren\u00e9"', '"Rene\u0301"', '" Ren\u00e9 "'],
    ['"Ann Lee"', '"Ann\\u00a0 Lee"', '"Ann\\tLee\\n"'],
    ["1", "1.0", '"1"', '"1.0"', "10e-1", '"01"'],
    ["9007199254740993", '"9007199254740993"', "9007199254740993.0"],
    ["9007199254740992", '"9007199254740992"'],
    ["1e21", '"1000000000000000000000"', "1e+21"],
    ["-0.50", '"-0.5e0"', "-5e-1"],
    ['"1.2.3"'],
    ['"1,2"'],
    ["-1"],
  ];
  const expected: number[][] = [];
  let next = 0;
  for (const same of forms) expected.push(same.map(() => next++));
  const rows = forms.flat().map((user) => `{"text": "a", "user": ${user}}`);
  expect(await readUnits(temporaryFile("rows.jsonl", rows.join("\n")), "user")).toEqual(expected);
  expect(await readUnits(temporaryFile("rows.json", `[${rows.join(",")}]`), "user")).toEqual(expected);
  const blank = temporaryFile("blank.jsonl", '{"text": "a", "user": " \\t"}');
  expect(await rejection(readUnits(blank, "user"))).toMatch(/is empty/);
  const long = temporaryFile("long.csv", `text,user\na,1${"0".repeat(1_000_000)}1\n`);
  expect(await readUnits(long, "user")).toEqual([[0]]);
});

test("a row without a unit of privacy is refused by its line, and nothing of it is quoted", async () => {
  const rows = [
    '{"text": "secret"}',
    '{"text": "secret", "user": null}',
    '{"text": "secret", "user": ""}',
    '{"text": "secret", "user": ["secret"]}',
  ];
  const message = await rejection(readUnits(temporaryFile("rows.jsonl", rows.join("\n")), "user"));
  expect(message).toMatch(/:1: Has no "user"/);
  expect(message).toMatch(/:2: .*neither a string nor a number.*line: 4/);
  expect(message).toMatch(/:3: .*is empty/);
  expect(message).not.toContain("secret");
  // An object has these too, but the row doesn't.
  expect(await rejection(readUnits(temporaryFile("rows.jsonl", '{"text": "a"}'), "toString"))).toMatch(
    /Has no "toString"/,
  );
});

test("a public file that has the private data's unit is refused", async () => {
  const path = temporaryFile("public.jsonl", '{"text": "a"}\n{"text": "b", "user": "secret"}');
  const message = await rejection(refuseUnits(path, "user"));
  expect(message).toMatch(/:2: Has "user"/);
  expect(message).not.toContain("secret");
  await refuseUnits(path, "author");
});
