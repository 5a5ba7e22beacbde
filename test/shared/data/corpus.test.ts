import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { chunks, readCorpus } from "../../../shared/data/corpus.ts";
import type { Data } from "../../../shared/data/jsonl.ts";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { idsOf } from "../../helpers/encode.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile } from "../../helpers/temporary.ts";

const tokenizer = await loadTokenizer(fileURLToPath(new URL("golden/gpt2", import.meta.url)));
const end = tokenizer.endId!;

async function corpus(...[files, onDocument]: [Data[], ((tokens: number) => void)?]): Promise<Int32Array> {
  using tokens = await readCorpus(files, tokenizer, onDocument);
  return tokens.subarray(0, tokens.length);
}

test("documents follow each other in file order, each with an end token", async () => {
  const plain = temporaryFile("a.txt", "It was good.\nIt was bad.\n<|endoftext|>\n\n<|endoftext|>\nlast");
  const rows = temporaryFile("b.jsonl", '{"text": "one"}\n{"text": " "}\n{"text": "two\\n"}\n');
  const seen: number[] = [];
  const ids = await corpus([plain, rows], (tokens) => seen.push(tokens));
  const documents = ["It was good.\nIt was bad.", "last", "one", "two\n"];
  expect([...ids]).toEqual((await tokenizer.encode(documents)).flatMap((ids) => [...ids, end]));
  expect(seen).toHaveLength(4);
  expect(seen.at(-1)).toBe(ids.length);
});

test("a long document has the tokens that it has as one string", async () => {
  const text = Array.from({ length: 9000 }, (_, i) => `word${i}${i % 5 === 0 ? "  \n" : " "}`)
    .join("")
    .trim();
  const ids = await corpus([temporaryFile("long.txt", text)]);
  expect([...ids]).toEqual([...(await idsOf(tokenizer, text)), end]);
});

test("a document without a space is still read", async () => {
  const text = "x".repeat(50_000);
  const ids = await corpus([temporaryFile("long.txt", text)]);
  expect(await tokenizer.decode(ids.subarray(0, -1))).toBe(text);
});

test("a long document is read before its end is there, with the tokens that it has as one string", async () => {
  const lines = Array.from(
    { length: 50_000 },
    (_, i) => `${i % 7 === 0 ? "  " : ""}word${i} of line ${i}${i % 5 === 0 ? "  " : ""}`,
  );
  const text = `\n \n${lines.join("\n")}\n\n<|endoftext|>\n \nshort\n \n`;
  const ids = await corpus([temporaryFile("long.txt", text)]);
  const expected = [
    ...(await idsOf(tokenizer, lines.join("\n").trim())),
    end,
    ...(await idsOf(tokenizer, "short")),
    end,
  ];
  expect(Buffer.from(ids.buffer).equals(Buffer.from(Int32Array.from(expected).buffer))).toBe(true);
});

test("bytes that are not text are named with their line", async () => {
  const path = temporaryFile("bad.txt", Buffer.from([0x61, 0x0a, 0xff]));
  expect(await rejection(readCorpus([path], tokenizer))).toMatch(/bad\.txt:2: Is not UTF-8/);
});

test("a stream is cut into rows of one length", () => {
  const rows = chunks(Int32Array.of(1, 2, 3, 4, 5), 2);
  expect(rows.map(({ ids }) => [...ids])).toEqual([
    [1, 2],
    [3, 4],
  ]);
});
