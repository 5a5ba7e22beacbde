import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requireSameTokenizer, transferTexts } from "../../../shared/data/same-tokenizer.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { rejection } from "../../helpers/problem.ts";
import { withSwappedTokens } from "../../helpers/swapped-tokenizer.ts";
import { sentiment } from "./task.ts";

const target = fixture("tiny-gpt2");
const texts =
  (...rows: string[]) =>
  (mask: string | undefined) =>
    transferTexts(sentiment, "Say it", rows, mask);

test("files that say the same in another way are the same tokenizer", async () => {
  const student = withSwappedTokens("x", "x");
  const path = join(student, "tokenizer.json");
  const { model, ...rest } = JSON.parse(readFileSync(path, "utf8"));
  const merges = model.merges.map((pair: string | string[]) => (typeof pair === "string" ? pair.split(" ") : pair));
  const written = { ...rest, padding: null, model: { vocab: model.vocab, ...model, merges } };
  writeFileSync(path, JSON.stringify(written, null, 2));
  await requireSameTokenizer(student, target);
});

test("two tokens that changed places are found in words, the init text and public texts", async () => {
  const words = withSwappedTokens("Ġbad", "Ġgood");
  expect(await rejection(requireSameTokenizer(words, target))).toMatch(/The files of .*swapped and .*tiny-gpt2 differ/);
  expect(await rejection(requireSameTokenizer(words, target, texts("a text")))).toMatch(/other ids for " It was bad"/);
  const init = withSwappedTokens("S", "R");
  expect(await rejection(requireSameTokenizer(init, target, texts("a text")))).toMatch(/other ids for "Say it"/);
  const open = withSwappedTokens("X", "Y");
  expect(await rejection(requireSameTokenizer(open, target, texts("a text", "an X")))).toMatch(/for "an X It was"/);
  await requireSameTokenizer(open, target, texts("a text"));
});
