import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";

const folder = (name: string) => fileURLToPath(new URL(`golden/${name}`, import.meta.url));

/** What transformers gives for a text, or for one so many times over the digest of what it gives. */
type Golden =
  | { readonly text: string; readonly ids: number[] }
  | { readonly text: string; readonly times: number; readonly count: number; readonly sha256: string };

describe.each([
  "gpt2",
  "smollm",
  "roberta",
  "bert",
  "bert-cased",
  "qwen2",
  "llama3",
  "llama",
  "llama-no-bytes",
  "llama-legacy",
  "llama-no-prefix",
  "mistral",
])("%s", async (name) => {
  const golden = JSON.parse(readFileSync(`${folder(name)}/ids.json`, "utf8")) as Golden[];
  const tokenizer = await loadTokenizer(folder(name));

  test.each(golden)("gives transformers' ids for $text", (row) => {
    if ("ids" in row) expect(tokenizer.encode(row.text)).toEqual(row.ids);
    else {
      const ids = tokenizer.encode(row.text.repeat(row.times));
      expect(ids.length).toBe(row.count);
      expect(createHash("sha256").update(ids.join(",")).digest("hex")).toBe(row.sha256);
    }
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

test.each([
  ["bert", 2, 3, "[MASK]"],
  ["roberta", 0, 2, "<mask>"],
])(
  "%s: special tokens that the config doesn't name are those of the model type's class",
  async (name, start, end, mask) => {
    const copy = temporaryFolder();
    for (const file of ["config.json", "tokenizer.json"]) cpSync(join(folder(name), file), join(copy, file));
    const { maskId, ...tokenizer } = await loadTokenizer(copy);
    expect(tokenizer).toMatchObject({ startId: start, endId: end, maskToken: mask });
    expect(tokenizer.encode(`a ${mask} b`).filter((id) => id === maskId)).toHaveLength(1);
    writeFileSync(join(copy, "tokenizer_config.json"), '{"mask_token": "<not there>"}');
    expect(await loadTokenizer(copy)).toMatchObject({ maskId: undefined, maskToken: undefined });
  },
);

test("half a surrogate pair counts as the replacement character, as in every UTF-8 encoder", async () => {
  const gpt2 = await loadTokenizer(folder("gpt2"));
  expect(gpt2.encode("a\ud83d b\udd16")).toEqual(gpt2.encode("a\ufffd b\ufffd"));
  const bert = await loadTokenizer(folder("bert"));
  expect(bert.encode("a\ud83d b\udd16")).toEqual(bert.encode("a\ufffd b\ufffd"));
});

test("a folder without a tokenizer, and one that is broken, are named", async () => {
  expect(await rejection(loadTokenizer(temporaryFolder()))).toMatch(/tokenizer\.json can't be read \(ENOENT\)/);
  const broken = temporaryFile("tokenizer.json", "{}").replace("/tokenizer.json", "");
  expect(await rejection(loadTokenizer(broken))).toMatch(/The tokenizer can't be loaded: .*softpost-test/);
});
