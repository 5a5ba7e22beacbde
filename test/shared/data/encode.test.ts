import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encoder, initialisationIds } from "../../../shared/data/encode.ts";
import { loadTokenizer } from "../../../shared/data/tokenizer.ts";
import { verbalizer } from "../../../shared/data/verbalizer.ts";
import { problem } from "../../helpers/problem.ts";
import { sentiment } from "./task.ts";

const load = (name: string) => loadTokenizer(fileURLToPath(new URL(`golden/${name}`, import.meta.url)));
const gpt2 = await load("gpt2");
const roberta = await load("roberta");
const bert = await load("bert");
const sentencePiece = await load("llama");
const llama = await load("llama-no-bytes");
const masked = { ...sentiment, template: "{text} It was {mask}." };

test("the filled template is tokenised as one string", () => {
  const { ids, shortened } = encoder(sentiment, gpt2, "causal")("the $& film {text}");
  expect([...ids]).toEqual(gpt2.encode("the $& film {text} It was"));
  expect(shortened).toBe(false);
  expect([...encoder(masked, roberta, "masked")("a")!.ids]).toEqual(roberta.encode("a It was <mask>."));
});

test("a long text is shortened as little as possible, the template never", () => {
  const encode = encoder(sentiment, gpt2, "causal");
  const template = gpt2.encode(" It was");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 120 }), (text) => {
      const { ids, shortened } = encode(text);
      expect(ids.length).toBeLessThanOrEqual(sentiment.maxLength);
      expect([...ids].slice(-template.length)).toEqual(template);
      expect(shortened).toBe(gpt2.encode(`${text} It was`).length > sentiment.maxLength);
    }),
  );
  const bytes = encode("é".repeat(50));
  expect(bytes.ids.length).toBeGreaterThan(sentiment.maxLength - 2);
  expect(gpt2.decode([...bytes.ids])).toMatch(/^é+ It was$/);
});

test("a causal model is read at the last token, a masked one at the template's own mask", () => {
  const { ids, readAt } = encoder(sentiment, gpt2, "causal")("the film");
  expect(readAt).toBe(ids.length - 1);
  const maskId = roberta.idOf("<mask>");
  const before = { ...masked, template: "It was {mask}. {text}" };
  for (const text of ["", "a", "a <mask> b", "<mask>", "long ".repeat(40), "<mask>".repeat(40)]) {
    const after = encoder(masked, roberta, "masked")(text);
    expect([...after.ids].slice(after.readAt)).toEqual([maskId, ...roberta.encodePiece("."), roberta.endId]);
    const ahead = encoder(before, roberta, "masked")(text);
    expect([...ahead.ids].slice(0, ahead.readAt + 1)).toEqual(roberta.encode("It was <mask>").slice(0, -1));
  }
});

test("a template with a second mask is refused", () => {
  const twice = { ...masked, template: "{text} <mask> was {mask}." };
  expect(problem(() => encoder(twice, roberta, "masked"))).toMatch(
    /mask token 2 times.*\n.*Must not hold <mask> beside/,
  );
});

test("a surrogate pair is not cut in two", () => {
  for (let maxLength = 6; maxLength < 20; maxLength++) {
    const { ids } = encoder({ ...sentiment, maxLength }, gpt2, "causal")("🤖".repeat(20));
    expect(gpt2.decode([...ids])).toMatch(/^(🤖)* It was$/u);
  }
});

test("a template that is too long, or a mask that the model doesn't have, is refused before any text comes", () => {
  expect(problem(() => encoder({ ...sentiment, maxLength: 1 }, gpt2, "causal"))).toMatch(
    /task#\/maxLength: Must be at least \d/,
  );
  expect(problem(() => encoder(masked, gpt2, "causal"))).toMatch(/task#\/template: Remove \{mask\}/);
  expect(problem(() => encoder(sentiment, bert, "masked"))).toMatch(/task#\/template: Put \{mask\} where/);
  expect(problem(() => encoder(masked, gpt2, "masked"))).toMatch(/no mask token.*\n.*names its mask_token/);
});

test("a prompt starts from the instruction's tokens, repeated and cut", () => {
  const ids = gpt2.encode("It was");
  expect([...initialisationIds(gpt2, "It was", ids.length + 1)]).toEqual([...ids, ids[0]]);
  expect([...initialisationIds(gpt2, "It was", 1)]).toEqual([ids[0]]);
  expect(problem(() => initialisationIds(gpt2, "", 4))).toMatch(/has no token/);
});

test.each([
  ["gpt2", gpt2, sentiment, ["Ġbad", "Ġte", "Ġgood"]],
  ["llama", sentencePiece, sentiment, ["▁b", "▁t", "▁good"]],
  ["roberta", roberta, masked, ["Ġbad", "Ġte", "Ġgood"]],
  ["bert", bert, masked, ["bad", "terrible", "good"]],
] as const)("%s: a word counts by the first token that it adds after the template", (_, tokenizer, task, tokens) => {
  const { classes, notes } = verbalizer(task, tokenizer);
  const [bad, terrible, good] = tokens.map((token) => tokenizer.idOf(token));
  expect(classes.map((ids) => [...ids])).toEqual([[bad, terrible], [good]]);
  const words = ["bad", "terrible", "good"];
  const several = words.filter((word, i) => !tokens[i]!.endsWith(word));
  expect(notes).toEqual(
    several.map((word) => expect.stringMatching(`" ${word}" has \\d tokens; it counts by the first, "`)),
  );
});

test.each([
  ["roberta", roberta],
  ["bert", bert],
])("%s: a word at the mask may have the space before it or leave it to the template", (_, tokenizer) => {
  const bare = sentiment.labels.map((label) => ({ ...label, words: label.words.map((word) => word.trim()) }));
  expect(verbalizer({ ...masked, labels: bare }, tokenizer).classes).toEqual(verbalizer(masked, tokenizer).classes);
  const first = { ...masked, template: "{mask}: {text}", labels: bare };
  const [[bad] = [], [good] = []] = verbalizer(first, tokenizer).classes.map((ids) => [...ids]);
  expect([bad, good]).toEqual(["bad", "good"].map((word) => tokenizer.encodePiece(word)[0]));
});

test("a masked model's special tokens are where transformers puts them, and the mask is one token", () => {
  const { ids, readAt } = encoder(masked, bert, "masked")("The [MASK] film");
  const [start, end] = [bert.startId, bert.endId];
  expect([ids[0], ids.at(-1), ids[readAt]]).toEqual([start, end, bert.maskId]);
  expect(bert.decode([...ids])).toBe("[CLS] the [MASK] film it was [MASK]. [SEP]");
  const cut = encoder(masked, bert, "masked")("film ".repeat(50));
  expect(cut).toMatchObject({ shortened: true, readAt: masked.maxLength - 3 });
  expect(bert.decode([...cut.ids.slice(cut.readAt - 2)])).toBe("it was [MASK]. [SEP]");
});

test("words that can't be used are all reported", () => {
  const words = (first: string[], second: string[]) => ({
    ...sentiment,
    labels: [
      { name: "a", words: first },
      { name: "b", words: second },
    ],
  });
  const text = problem(() => verbalizer(words([" bad", " 中"], [" bad", " good"]), llama));
  expect(text).toMatch(/labels\/1\/words\/0: The word " bad" begins with the same token as a word of the label "a"/);
  expect(problem(() => verbalizer(words([" good"], ["中"]), llama))).toMatch(/"中" is not in the vocabulary/);
  expect(problem(() => verbalizer(words([" good"], ["."]), { ...gpt2, unknownId: gpt2.idOf(".") }))).toMatch(
    /labels\/1\/words\/0: The word "\." is not in the vocabulary/,
  );
  const glued = { ...words(["ad"], [" good"]), template: "{text} It was b" };
  expect(problem(() => verbalizer(glued, gpt2))).toMatch(/"ad" joins the end of the template/);
});
