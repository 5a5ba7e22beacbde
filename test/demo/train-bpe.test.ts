import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenizerFiles } from "../../demo/tokenizer/files.ts";
import { trainBpe } from "../../demo/tokenizer/train-bpe.ts";
import golden from "./golden/bpe.json" with { type: "json" };

const bpe = trainBpe(golden.texts, golden.size);
const files = tokenizerFiles(bpe);
const tokenizer = new Tokenizer(JSON.parse(files["tokenizer.json"]!), JSON.parse(files["tokenizer_config.json"]!));

describe("trainBpe", () => {
  it("learns the merges that Hugging Face's trainer learns (golden/bpe.py)", () => {
    expect(bpe.merges).toEqual(golden.merges);
    expect(bpe.tokens).toHaveLength(golden.size);
  });

  it("makes a tokenizer that cuts as Hugging Face's does", () => {
    for (const { text, ids } of golden.samples) expect(tokenizer.encode(text).ids).toEqual(ids);
  });

  it("counts the tokens of the texts it learned from", () => {
    const ids = golden.texts.flatMap((text) => tokenizer.encode(text).ids);
    expect(bpe.tokensLearnedFrom).toBe(ids.length);
  });

  it("gives back any text, byte for byte", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
      }),
    );
  });

  it("stops early when no pair occurs twice", () => {
    expect(trainBpe(["ab"], 400).tokens).toHaveLength(257);
  });
});
