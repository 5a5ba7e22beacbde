import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_LINE_BYTES, readExamples, readLines, readTexts } from "../../../shared/data/jsonl.ts";
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
  expect(await rejection(classes(rows("103")))).toMatch(/:2: The label "0" is unknown; .*a number is taken for a name/);
  const reversed = { ...sentiment, labels: [stars.labels[0]!, { name: "0", words: [" no"] }] };
  expect(await classes(rows("10"), reversed)).toEqual([0, 1]);
  const half = {
    ...sentiment,
    labels: [{ name: "1.0", words: ["a"] }, { name: "01", words: ["b"] }, stars.labels[1]!],
  };
  expect(await classes(rows("2"), half)).toEqual([2]);
  expect(await rejection(classes(rows("1"), half))).toMatch(/The label "1" is unknown/);
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
    `{"text": "${"x".repeat(MAX_LINE_BYTES)}", "label": 0}`,
    '{"text": "secret", "label": 1}',
  ];
  const path = temporaryFile("train.jsonl", lines.join("\n"));
  const text = await rejection(readExamples(path, sentiment));
  expect(text).not.toContain("secret");
  const faults = text.split("\n").slice(1);
  expect(faults.map((fault) => fault.slice(path.length + 1))).toEqual([
    "2: Is not valid JSON.",
    expect.stringMatching(/^3: Has no "label"; it must be .*"negative", "positive".*0 to 1/),
    expect.stringMatching(/^4: The label "neutral" is unknown/),
    expect.stringMatching(/^5: The label "2" is unknown/),
    expect.stringMatching(/^6: The label "0.5" is unknown/),
    expect.stringMatching(/^7: The label "null" is unknown/),
    '8: Has no "text" that is a string.',
    "9: Is not a JSON object.",
    '10: The key "text" is there twice.',
    "11: Is longer than 1048576 bytes.",
  ]);
});

test("a file of faults is not read to its end", async () => {
  const path = temporaryFile("train.jsonl", "{}\n".repeat(1000));
  const text = await rejection(readExamples(path, sentiment));
  expect(text.split("\n")).toHaveLength(52);
  expect(text).toMatch(/read no further after 50 faults/);
});

test("bytes that are not UTF-8, an empty file and a missing one are named", async () => {
  const bad = temporaryFile("train.jsonl", Uint8Array.of(0x22, 0xff, 0x22, 0x0a));
  expect(await rejection(readTexts(bad))).toContain("train.jsonl:1: Is not UTF-8 text.");
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
