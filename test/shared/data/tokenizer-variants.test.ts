import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { filesOf, type Variant, variants, writeFiles } from "./golden-variants.ts";

const { texts, rows } = variants;
const digest = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");
const load = (files: Record<string, unknown>) => loadTokenizer(writeFiles(files));

/** What can't be done as transformers does it, by name. */
const REFUSALS = [
  /the class that transformers takes for it, \w+, takes a \w+ model, tokenizer\.json has \w+\. If the file is right/,
  /the class that transformers takes for it, \w+, works on bytes, tokenizer\.json doesn't/,
  /its tokenizer_class is "(CodeLlama|Gemma)Tokenizer"/,
  /says that there is no (cls|sep|bos|eos|unk)_token, and the class needs one/,
  /the added tokens .* are the same once they are normalised/,
];

/** Llama's class over a file that works on bytes: the file counts (transformers' issue 45488). */
const isLlamaOverBytes = ({ class: name }: Variant, files: Record<string, unknown>) =>
  name === "LlamaTokenizer" && /"ByteLevel"/.test(JSON.stringify(files["tokenizer.json"]));

test.each(rows.map((row, index) => [`${index} ${row.base}`, row] as const))("%s", async (_, row) => {
  const files = filesOf(row);
  try {
    const tokenizer = await load(files);
    const ids = (await tokenizer.encode(texts)).map((each) => [...each]);
    if (isLlamaOverBytes(row, files)) {
      files["tokenizer_config.json"]!.tokenizer_class = "PreTrainedTokenizerFast";
      const file = await load({ ...files, "config.json": {} });
      expect(ids).toEqual((await file.encode(texts)).map((each) => [...each]));
      return;
    }
    expect(digest(ids)).toBe(row.ids);
    const decoded = ids.map(async (each) => [
      await tokenizer.decode(each),
      await tokenizer.decode(each, { skipSpecialTokens: true }),
    ]);
    expect(digest(await Promise.all(decoded))).toBe(row.decoded);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    expect(
      REFUSALS.some((refusal) => refusal.test(error.message)),
      error.message,
    ).toBe(true);
  }
});

test("most variants are computed, not refused", async () => {
  const outcomes = await Promise.allSettled(rows.map(async (row) => load(filesOf(row))));
  const computed = outcomes.filter(({ status }) => status === "fulfilled").length;
  expect(computed / rows.length).toBeGreaterThan(0.7);
});
