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
const llama = await load("llama-no-bytes");
const masked = { ...sentiment, template: "{text} It was {mask}." };

test("the filled template is tokenised as one string", () => {
  const { ids, shortened } = encoder(sentiment, gpt2)("the $& film {text}");
  expect([...ids]).toEqual(gpt2.encode("the $& film {text} It was"));
  expect(shortened).toBe(false);
  expect([...encoder(masked, roberta)("a")!.ids]).toEqual(roberta.encode("a It was <mask>."));
});

test("a long text is shortened as little as possible, the template never", () => {
  const encode = encoder(sentiment, gpt2);
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
  const { ids, readAt } = encoder(sentiment, gpt2)("the film");
  expect(readAt).toBe(ids.length - 1);
  const maskId = roberta.idOf("<mask>");
  const before = { ...masked, template: "It was {mask}. {text}" };
  for (const text of ["", "a", "a <mask> b", "<mask>", "long ".repeat(40), "<mask>".repeat(40)]) {
    const after = encoder(masked, roberta)(text);
    expect([...after.ids].slice(after.readAt)).toEqual([maskId, ...roberta.encodePiece("."), roberta.endId]);
    const ahead = encoder(before, roberta)(text);
    expect([...ahead.ids].slice(0, ahead.readAt + 1)).toEqual(roberta.encode("It was <mask>").slice(0, -1));
  }
});

test("a template with a second mask is refused", () => {
  const twice = { ...masked, template: "{text} <mask> was {mask}." };
  expect(problem(() => encoder(twice, roberta))).toMatch(/mask token 2 times.*\n.*Must not hold <mask> beside/);
});

test("a surrogate pair is not cut in two", () => {
  for (let maxLength = 6; maxLength < 20; maxLength++) {
    const { ids } = encoder({ ...sentiment, maxLength }, gpt2)("🤖".repeat(20));
    expect(gpt2.decode([...ids])).toMatch(/^(🤖)* It was$/u);
  }
});

test("a template that is too long, or a mask that the model doesn't have, is refused before any text comes", () => {
  expect(problem(() => encoder({ ...sentiment, maxLength: 1 }, gpt2))).toMatch(/task#\/maxLength: Must be at least \d/);
  expect(problem(() => encoder(masked, gpt2))).toMatch(/task#\/template: Remove \{mask\}/);
});

test("a prompt starts from the instruction's tokens, repeated and cut", () => {
  const ids = gpt2.encode("It was");
  expect([...initialisationIds(gpt2, "It was", ids.length + 1)]).toEqual([...ids, ids[0]]);
  expect([...initialisationIds(gpt2, "It was", 1)]).toEqual([ids[0]]);
  expect(problem(() => initialisationIds(gpt2, "", 4))).toMatch(/has no token/);
});

test("a word counts by the first token that it adds", () => {
  const { classes, notes } = verbalizer(sentiment, gpt2);
  const before = gpt2.encode("text It was").length;
  const first = (word: string) => gpt2.encode(`text It was${word}`)[before];
  expect(classes.map((ids) => [...ids])).toEqual([[first(" bad"), first(" terrible")], [first(" good")]]);
  expect(notes).toEqual([expect.stringMatching(/The word " terrible" has \d tokens; it counts by the first, " t/)]);
});

test("a masked model's word stands where the mask is", () => {
  const [[bad] = [], [good] = []] = verbalizer(masked, roberta).classes.map((ids) => [...ids]);
  expect(roberta.decode([bad!, good!])).toBe(" bad good");
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
