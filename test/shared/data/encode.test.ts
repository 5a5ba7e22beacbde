import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encoder, initialisationIds } from "../../../shared/data/encode.ts";
import { type EncodedTarget, targetEncoder } from "../../../shared/data/encode-target.ts";
import { loadTokenizer, type Tokenizer } from "../../../shared/data/tokenizer.ts";
import { verbalizer } from "../../../shared/data/verbalizer.ts";
import type { Task } from "../../../shared/protocol/task.ts";
import { idsOf, pieceOf } from "../../helpers/encode.ts";
import { rejection } from "../../helpers/problem.ts";
import { sentiment } from "./task.ts";

const load = (name: string) => loadTokenizer(fileURLToPath(new URL(`golden/${name}`, import.meta.url)));
const gpt2 = await load("gpt2");
const roberta = await load("roberta");
const bert = await load("bert");
const sentencePiece = await load("llama");
const llama3 = await load("llama3");
const llama = await load("llama-no-bytes");
/** One text in the task's template. */
const encodeOne = async (task: Task, tokenizer: Tokenizer, kind: "causal" | "masked", text: string) =>
  (await (await encoder(task, tokenizer, kind))([text]))[0]!;
const masked = { ...sentiment, template: "{text} It was {mask}." };

test("the filled template is tokenised as one string", async () => {
  const { ids, shortened } = await encodeOne(sentiment, gpt2, "causal", "the $& film {text}");
  expect([...ids]).toEqual(await idsOf(gpt2, "the $& film {text} It was"));
  expect(shortened).toBe(false);
  expect([...(await encodeOne(masked, roberta, "masked", "a")).ids]).toEqual(await idsOf(roberta, "a It was <mask>."));
});

test("a long text is shortened as little as possible, the template never", async () => {
  const encode = await encoder(sentiment, gpt2, "causal");
  const template = await idsOf(gpt2, " It was");
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 120 }), async (text) => {
      const { ids, shortened } = (await encode([text]))[0]!;
      expect(ids.length).toBeLessThanOrEqual(sentiment.maxLength);
      expect([...ids].slice(-template.length)).toEqual(template);
      expect(shortened).toBe((await idsOf(gpt2, `${text} It was`)).length > sentiment.maxLength);
    }),
  );
  const bytes = (await encode(["é".repeat(50)]))[0]!;
  expect(bytes.ids.length).toBeGreaterThan(sentiment.maxLength - 2);
  expect(await gpt2.decode([...bytes.ids])).toMatch(/^é+ It was$/);
});

test("a causal model is read at the last token, a masked one at the template's own mask", async () => {
  const { ids, readAt } = await encodeOne(sentiment, gpt2, "causal", "the film");
  expect(readAt).toBe(ids.length - 1);
  const maskId = roberta.idOf("<mask>");
  const before = { ...masked, template: "It was {mask}. {text}" };
  for (const text of ["", "a", "a <mask> b", "<mask>", "long ".repeat(40), "<mask>".repeat(40)]) {
    const after = await encodeOne(masked, roberta, "masked", text);
    expect([...after.ids].slice(after.readAt)).toEqual([maskId, ...(await pieceOf(roberta, ".")), roberta.endId]);
    const ahead = await encodeOne(before, roberta, "masked", text);
    expect([...ahead.ids].slice(0, ahead.readAt + 1)).toEqual((await idsOf(roberta, "It was <mask>")).slice(0, -1));
  }
});

test("a causal model reads no special token behind the text, whatever its tokenizer closes texts with", async () => {
  const whole = await idsOf(roberta, "a It was");
  expect(whole.at(-1)).toBe(roberta.endId);
  const { ids, readAt } = await encodeOne(sentiment, roberta, "causal", "a");
  expect([...ids]).toEqual(whole.slice(0, -1));
  expect(readAt).toBe(ids.length - 1);
  const cut = await encodeOne(sentiment, roberta, "causal", "film ".repeat(50));
  expect([cut.ids.length, cut.shortened]).toEqual([sentiment.maxLength, true]);
  expect(await roberta.decode([...cut.ids.slice(-2)])).toBe("It was");
  const closed = { ...sentiment, template: "{text} It was</s>" };
  expect((await verbalizer(closed, roberta)).notes.join()).not.toMatch(/twice/);
  const { labels, ...rest } = sentiment;
  for (const [stop, end] of [
    [[], [roberta.endId]],
    [["."], await pieceOf(roberta, ".")],
  ] as const) {
    const task: Task = {
      ...rest,
      kind: "generation",
      target: " {target}",
      stop: [...stop],
      maxNewTokens: 4,
      maxLength: 20,
    };
    const [row] = await (await targetEncoder(task, roberta, "causal"))([{ text: "a", target: "good" }]);
    const { ids, start, question } = row as EncodedTarget;
    expect([...ids.subarray(start)]).toEqual([...(await pieceOf(roberta, " good")), ...end]);
    expect([...question]).toEqual(whole.slice(0, -1));
  }
});

test("a template with a second mask is refused", async () => {
  const twice = { ...masked, template: "{text} <mask> was {mask}." };
  expect(await rejection(encoder(twice, roberta, "masked"))).toMatch(
    /mask token 2 times.*\n.*Must not hold <mask> beside/,
  );
});

test("a surrogate pair is not cut in two", async () => {
  for (let maxLength = 6; maxLength < 20; maxLength++) {
    const { ids } = await encodeOne({ ...sentiment, maxLength }, gpt2, "causal", "🤖".repeat(20));
    expect(await gpt2.decode([...ids])).toMatch(/^(🤖)* It was$/u);
  }
});

test("a template that is too long, or a mask that the model doesn't have, is refused before any text comes", async () => {
  expect(await rejection(encoder({ ...sentiment, maxLength: 1 }, gpt2, "causal"))).toMatch(
    /task#\/maxLength: Must be at least \d/,
  );
  expect(await rejection(encoder(masked, gpt2, "causal"))).toMatch(/task#\/template: Remove \{mask\}/);
  expect(await rejection(encoder(sentiment, bert, "masked"))).toMatch(/task#\/template: Put \{mask\} where/);
  expect(await rejection(encoder(masked, gpt2, "masked"))).toMatch(/no mask token.*\n.*names its mask_token/);
});

test("a prompt starts from the instruction's tokens, repeated and cut", async () => {
  const ids = await idsOf(gpt2, "It was");
  expect([...(await initialisationIds(gpt2, "It was", ids.length + 1))]).toEqual([...ids, ids[0]]);
  expect([...(await initialisationIds(gpt2, "It was", 1))]).toEqual([ids[0]]);
  expect(await rejection(initialisationIds(gpt2, "", 4))).toMatch(/has no token/);
});

test.each([
  ["gpt2", gpt2, sentiment, ["Ġbad", "Ġte", "Ġgood"]],
  ["llama", sentencePiece, sentiment, ["▁b", "▁t", "▁good"]],
  ["roberta", roberta, masked, ["Ġbad", "Ġte", "Ġgood"]],
  ["bert", bert, masked, ["bad", "terrible", "good"]],
] as const)(
  "%s: a word counts by the first token that it adds after the template",
  async (_, tokenizer, task, tokens) => {
    const { classes, notes } = await verbalizer(task, tokenizer);
    const [bad, terrible, good] = tokens.map((token) => tokenizer.idOf(token));
    expect(classes.map((ids) => [...ids])).toEqual([[bad, terrible], [good]]);
    const words = ["bad", "terrible", "good"];
    const several = words.filter((word, i) => !tokens[i]!.endsWith(word));
    expect(notes).toEqual(
      several.map((word) => expect.stringMatching(`" ${word}" has \\d tokens; it counts by the first, "`)),
    );
  },
);

test.each([
  ["roberta", roberta],
  ["bert", bert],
])("%s: a word at the mask may have the space before it or leave it to the template", async (_, tokenizer) => {
  const bare = sentiment.labels.map((label) => ({ ...label, words: label.words.map((word) => word.trim()) }));
  expect((await verbalizer({ ...masked, labels: bare }, tokenizer)).classes).toEqual(
    (await verbalizer(masked, tokenizer)).classes,
  );
  const first = { ...masked, template: "{mask}: {text}", labels: bare };
  const [[bad] = [], [good] = []] = (await verbalizer(first, tokenizer)).classes.map((ids) => [...ids]);
  expect([bad, good]).toEqual([(await pieceOf(tokenizer, "bad"))[0], (await pieceOf(tokenizer, "good"))[0]]);
});

test("a masked model's special tokens are where transformers puts them, and the mask is one token", async () => {
  const { ids, readAt } = await encodeOne(masked, bert, "masked", "The [MASK] film");
  const [start, end] = [bert.startId, bert.endId];
  expect([ids[0], ids.at(-1), ids[readAt]]).toEqual([start, end, bert.maskId]);
  expect(await bert.decode([...ids])).toBe("[CLS] the [MASK] film it was [MASK]. [SEP]");
  const cut = await encodeOne(masked, bert, "masked", "film ".repeat(50));
  expect(cut).toMatchObject({ shortened: true, readAt: masked.maxLength - 3 });
  expect(await bert.decode([...cut.ids.slice(cut.readAt - 2)])).toBe("it was [MASK]. [SEP]");
});

test("a special token that the template or the instruction has and the tokenizer adds too is noted", async () => {
  const start = { ...sentiment, template: "<|begin|>{text} It was" };
  const { notes } = await verbalizer(start, llama3);
  expect(notes).toContain(
    'The template begins with "<|begin|>", which the tokenizer adds itself: the model sees it twice.',
  );
  const end = { ...masked, template: "{text} It was {mask}.[SEP]", init: "[CLS] Say it" };
  expect((await verbalizer(end, bert)).notes).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^The template ends with "\[SEP\]"/),
      expect.stringMatching(/^The init text begins with "\[CLS\]"/),
    ]),
  );
  expect((await verbalizer(masked, bert)).notes.join()).not.toMatch(/twice/);
});

test("words that can't be used are all reported", async () => {
  const words = (first: string[], second: string[]) => ({
    ...sentiment,
    labels: [
      { name: "a", words: first },
      { name: "b", words: second },
    ],
  });
  const text = await rejection(verbalizer(words([" bad", " 中"], [" bad", " good"]), llama));
  expect(text).toMatch(/labels\/1\/words\/0: The word " bad" begins with the same token as a word of the label "a"/);
  expect(await rejection(verbalizer(words([" good"], ["中"]), llama))).toMatch(/"中" is not in the vocabulary/);
  expect(await rejection(verbalizer(words([" good"], ["."]), { ...gpt2, unknownId: gpt2.idOf(".") }))).toMatch(
    /labels\/1\/words\/0: The word "\." is not in the vocabulary/,
  );
  const glued = { ...words(["ad"], [" good"]), template: "{text} It was b" };
  expect(await rejection(verbalizer(glued, gpt2))).toMatch(
    /"ad" would stand without a space behind the template: "…bad"/,
  );
  const joined = { ...words(["good"], [" bad"]), template: "{text} It was " };
  expect(await rejection(verbalizer(joined, gpt2))).toMatch(
    /Let the template end with "was", and write the word " good"/,
  );
});
