/** The tokenizer of a browser against transformers' ids, and what it refuses. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { resolveTokenizer } from "../../../shared/data/tokenizer/definition.ts";
import { openTokenizer } from "../../../web/tune/worker/tokenizer-library.ts";
import { variants, writeVariant } from "../../shared/data/golden-variants.ts";

const folder = (name: string) => fileURLToPath(new URL(`../../shared/data/golden/${name}`, import.meta.url));
const open = async (name: string) => openTokenizer((await resolveTokenizer(folder(name))).definition);

type Golden =
  | { readonly text: string; readonly ids: number[] }
  | { readonly text: string; readonly times: number; readonly count: number; readonly sha256: string };

/** JavaScript counts a byte order mark as white space, which is left out beside a mask. */
const isKnown = (name: string, text: string) => name === "roberta" && /<mask>\ufeff/.test(text);

describe.each([
  "gpt2",
  "smollm",
  "roberta",
  "bert",
  "bert-cased",
  "qwen2",
  "llama3",
  "llama",
  "llama-legacy",
  "mistral",
])("%s", async (name) => {
  const golden = JSON.parse(readFileSync(`${folder(name)}/ids.json`, "utf8")) as Golden[];
  const library = await open(name);

  test("gives transformers' ids", async () => {
    const rows = golden.filter(({ text }) => !isKnown(name, text));
    const texts = rows.map((row) => ("ids" in row ? row.text : row.text.repeat(row.times)));
    const all = await library.encode(texts, true);
    for (const [i, row] of rows.entries()) {
      if ("ids" in row) expect([...all[i]!], row.text).toEqual(row.ids);
      else expect(createHash("sha256").update(all[i]!.join(",")).digest("hex"), row.text).toBe(row.sha256);
    }
    expect(rows.length).toBeGreaterThanOrEqual(golden.length - 1);
  });
});

test.each([
  ["xlm-roberta", /is a Unigram model.*command line/],
  ["llama-no-bytes", /without bytes for what it doesn't know.*command line/],
])("%s is refused: its ids would differ", async (name, reason) => {
  await expect(open(name)).rejects.toThrow(reason);
});

test("of tokenizers with any change it gives transformers' ids, or refuses them", async () => {
  let computed = 0;
  for (const [index, row] of variants.rows.entries()) {
    const definition = await resolveTokenizer(writeVariant(row)).then(
      (resolved) => resolved.definition,
      () => undefined,
    );
    const library = definition && (await openTokenizer(definition).catch(() => undefined));
    // Where the class and the file disagree, the file counts (test/shared/data/tokenizer-variants.test.ts).
    if (!library || row.class === "LlamaTokenizer") continue;
    const ids = (await library.encode(variants.texts, true)).map((each) => [...each]);
    expect(createHash("sha256").update(JSON.stringify(ids)).digest("hex"), `variant ${index}`).toBe(row.ids);
    computed += 1;
  }
  expect(computed).toBeGreaterThan(20);
});
