import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { idsOf, pieceOf } from "../../helpers/encode.ts";
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
  "xlm-roberta",
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

  test.each(golden)("gives transformers' ids for $text", async (row) => {
    if ("ids" in row) expect(await idsOf(tokenizer, row.text)).toEqual(row.ids);
    else {
      const ids = await idsOf(tokenizer, row.text.repeat(row.times));
      expect(ids.length).toBe(row.count);
      expect(createHash("sha256").update(ids.join(",")).digest("hex")).toBe(row.sha256);
    }
  });
});

test("special tokens are known by the config's names", async () => {
  const roberta = await loadTokenizer(folder("roberta"));
  expect(roberta).toMatchObject({ maskToken: "<mask>", endId: 2 });
  expect(await idsOf(roberta, "a")).toEqual([0, ...(await pieceOf(roberta, "a")), 2]);
  expect(roberta.idOf("<mask>")).toBe(4);
  const ids = await idsOf(roberta, "It was good.");
  expect(await roberta.decode(ids)).toBe("<s>It was good.</s>");
  expect(await roberta.decode(ids, { skipSpecialTokens: true })).toBe("It was good.");
  expect(await roberta.decode([])).toBe("");
});

test.each([
  ["bert", 2, 3, "[MASK]"],
  ["roberta", 0, 2, "<mask>"],
])(
  "%s: special tokens that the config doesn't name are those of the model type's class",
  async (name, start, end, mask) => {
    const copy = temporaryFolder();
    for (const file of ["config.json", "tokenizer.json"]) cpSync(join(folder(name), file), join(copy, file));
    const tokenizer = await loadTokenizer(copy);
    const { maskId } = tokenizer;
    expect(tokenizer).toMatchObject({ startId: start, endId: end, maskToken: mask });
    expect((await idsOf(tokenizer, `a ${mask} b`)).filter((id) => id === maskId)).toHaveLength(1);
    // A token that only the config knows is added, which the model must have an embedding for.
    writeFileSync(join(copy, "tokenizer_config.json"), '{"mask_token": "<new>"}');
    const { vocab } = JSON.parse(readFileSync(join(copy, "tokenizer.json"), "utf8")).model;
    const size = Object.keys(vocab).length;
    expect(await loadTokenizer(copy)).toMatchObject({ maskId: size, maskToken: "<new>" });
    const small = await loadTokenizer(copy, { model_type: name, vocab_size: size });
    expect(await rejection(small.encode(["a <new> b"]))).toMatch(
      new RegExp(`token "<new>" \\(id ${size}\\), but the model has`),
    );
    writeFileSync(join(copy, "tokenizer_config.json"), '{"mask_token": null}');
    expect(await loadTokenizer(copy)).toMatchObject({ maskId: undefined, maskToken: undefined });
  },
);

test("half a surrogate pair counts as the replacement character, as in every UTF-8 encoder", async () => {
  const gpt2 = await loadTokenizer(folder("gpt2"));
  expect(await idsOf(gpt2, "a\ud83d b\udd16")).toEqual(await idsOf(gpt2, "a\ufffd b\ufffd"));
  const bert = await loadTokenizer(folder("bert"));
  expect(await idsOf(bert, "a\ud83d b\udd16")).toEqual(await idsOf(bert, "a\ufffd b\ufffd"));
});

test("a folder without a tokenizer, and one that is broken, are named", async () => {
  expect(await rejection(loadTokenizer(temporaryFolder()))).toMatch(/tokenizer\.json can't be read \(ENOENT\)/);
  const broken = temporaryFile("tokenizer.json", "{}").replace("/tokenizer.json", "");
  expect(await rejection(loadTokenizer(broken))).toMatch(/The tokenizer can't be loaded: .*softpost-test/);
});
