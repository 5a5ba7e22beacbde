import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { tokenizerFiles } from "../../demo/tokenizer/files.ts";
import { trainBpe } from "../../demo/tokenizer/train-bpe.ts";
import { loadTokenizer } from "../../shared/data/tokenizer.ts";
import { idsOf } from "../helpers/encode.ts";
import golden from "./golden/bpe.json" with { type: "json" };

const bpe = trainBpe(golden.texts, golden.size);
const files = tokenizerFiles(bpe);
const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
const tokenizer = await loadTokenizer(folder, { model_type: "gpt2" });

describe("trainBpe", () => {
  it("learns the merges that Hugging Face's trainer learns (golden/bpe.py)", () => {
    expect(bpe.merges).toEqual(golden.merges);
    expect(bpe.tokens).toHaveLength(golden.size);
  });

  it("makes a tokenizer that cuts as Hugging Face's does", async () => {
    for (const { text, ids } of golden.samples) expect(await idsOf(tokenizer, text)).toEqual(ids);
  });

  it("counts the tokens of the texts it learned from", async () => {
    const ids = (await tokenizer.encode(golden.texts)).flatMap((each) => [...each]);
    expect(bpe.tokensLearnedFrom).toBe(ids.length);
  });

  it("gives back any text, byte for byte", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1 }), async (text) => {
        expect(await tokenizer.decode(await idsOf(tokenizer, text))).toBe(text);
      }),
    );
  });

  it("stops early when no pair occurs twice", () => {
    expect(trainBpe(["ab"], 400).tokens).toHaveLength(257);
  });
});
