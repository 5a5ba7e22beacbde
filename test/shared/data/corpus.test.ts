import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { chunks, readCorpus } from "../../../shared/data/corpus.ts";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { idsOf } from "../../helpers/encode.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile } from "../../helpers/temporary.ts";

const tokenizer = await loadTokenizer(fileURLToPath(new URL("golden/gpt2", import.meta.url)));
const end = tokenizer.endId!;

test("documents follow each other in file order, each with an end token", async () => {
  const plain = temporaryFile("a.txt", "It was good.\nIt was bad.\n<|endoftext|>\n\n<|endoftext|>\nlast");
  const rows = temporaryFile("b.jsonl", '{"text": "one"}\n{"text": " "}\n{"text": "two\\n"}\n');
  const seen: number[] = [];
  const ids = await readCorpus([plain, rows], tokenizer, (tokens) => seen.push(tokens));
  const documents = ["It was good.\nIt was bad.", "last", "one", "two\n"];
  expect([...ids]).toEqual((await tokenizer.encode(documents)).flatMap((ids) => [...ids, end]));
  expect(seen).toHaveLength(4);
  expect(seen.at(-1)).toBe(ids.length);
});

test("a long document has the tokens that it has as one string", async () => {
  const text = Array.from({ length: 9000 }, (_, i) => `word${i}${i % 5 === 0 ? "  \n" : " "}`)
    .join("")
    .trim();
  const ids = await readCorpus([temporaryFile("long.txt", text)], tokenizer);
  expect([...ids]).toEqual([...(await idsOf(tokenizer, text)), end]);
});

test("a document without a space is still read", async () => {
  const text = "x".repeat(50_000);
  const ids = await readCorpus([temporaryFile("long.txt", text)], tokenizer);
  expect(await tokenizer.decode(ids.subarray(0, -1))).toBe(text);
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
