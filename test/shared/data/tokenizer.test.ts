import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";

const folder = (name: string) => fileURLToPath(new URL(`golden/${name}`, import.meta.url));

describe.each(["gpt2", "roberta", "llama", "llama-no-bytes"])("%s", (name) => {
  const golden = JSON.parse(readFileSync(`${folder(name)}/ids.json`, "utf8")) as { text: string; ids: number[] }[];

  test.each(golden)("gives transformers' ids for $text", async ({ text, ids }) => {
    const tokenizer = await loadTokenizer(folder(name));
    expect(tokenizer.encode(text)).toEqual(ids);
  });
});

test("special tokens are known by the config's names", async () => {
  const roberta = await loadTokenizer(folder("roberta"));
  expect(roberta).toMatchObject({ maskToken: "<mask>", endId: 2 });
  expect(roberta.encode("a")).toEqual([0, ...roberta.encodePiece("a"), 2]);
  expect(roberta.idOf("<mask>")).toBe(4);
  expect(roberta.decode(roberta.encodePiece("It was good."))).toBe("It was good.");
  expect(roberta.decode([])).toBe("");
});

test("a folder without a tokenizer, and one that is broken, are named", async () => {
  expect(await rejection(loadTokenizer(temporaryFolder()))).toMatch(/tokenizer\.json can't be read \(ENOENT\)/);
  const broken = temporaryFile("tokenizer.json", "{}").replace("/tokenizer.json", "");
  expect(await rejection(loadTokenizer(broken))).toMatch(/The tokenizer can't be loaded: .*softpost-test/);
});
