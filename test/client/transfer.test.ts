/** What `softpost transfer` does with the options of a transfer, on a tiny model. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tokenizerFiles } from "../../demo/tokenizer/files.ts";
import { trainBpe } from "../../demo/tokenizer/train-bpe.ts";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";

const folder = mkdtempSync(join(tmpdir(), "softpost-transfer-"));
const at = (name: string) => join(folder, name);
function file(name: string, content: string): string {
  writeFileSync(at(name), content);
  return at(name);
}
const TASK = fixture("tiny-task/task.json");
const TRAIN = fixture("tiny-task/train.jsonl");

async function json(...args: string[]) {
  const { code, stdout, stderr } = await softpost("--json", "--threads", "1", ...args);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const tune = (model: string, out: string) =>
  json(
    "tune",
    "--model",
    model,
    "--task",
    TASK,
    "--train",
    TRAIN,
    "--steps",
    "3",
    "--prompt-tokens",
    "4",
    "--out",
    out,
  );

let texts: string;
beforeAll(async () => {
  cpSync(fixture("tiny-gpt2"), at("student"), { recursive: true });
  await tune(at("student"), at("prompt"));
  const rows = readFileSync(TRAIN, "utf8") + readFileSync(fixture("tiny-task/test.jsonl"), "utf8");
  const more = Array.from({ length: 30 }, (_, i) => `${JSON.stringify({ text: `the film number ${i} was long` })}\n`);
  texts = file("public.jsonl", rows + more.join(""));
});

afterAll(() => rmSync(folder, { recursive: true }));

const transferBy = (sets: readonly string[], out: string, ...more: string[]) => {
  const parties = ["--target", fixture("tiny-gpt2"), "--student", at("student"), "--prompt", at("prompt")];
  return ["transfer", ...parties, "--public", ...sets, "--steps", "6", "--batch-size", "4", "--out", at(out), ...more];
};
const transfer = (out: string, ...more: string[]) => transferBy([texts], out, ...more);

test("of two starts the one whose prompt diverges least on held-out texts is kept", async () => {
  const one = await json(...transfer("words"));
  const other = await json(...transfer("from-prompt", "--start", "prompt"));
  const both = await json(...transfer("both", "--start", "words", "prompt"));
  const best = one.travel.divergence <= other.travel.divergence ? "words" : "from-prompt";
  expect(both.travel).toEqual((best === "words" ? one : other).travel);
  const [kept, alone] = [await readPromptFolder(at("both")), await readPromptFolder(at(best))];
  expect(kept.prompt).toEqual(alone.prompt);
  expect(kept.manifest?.transfer).toMatchObject({ start: best === "words" ? "words" : "prompt", travel: both.travel });
});

test("texts are chosen of the public set, and its digest stays the whole set's", async () => {
  const { travel } = await json(...transfer("selected", "--select", "20"));
  expect(travel.heldOut).toBeLessThanOrEqual(2);
  const [selected, all] = [await readPromptFolder(at("selected")), await readPromptFolder(at("words"))];
  const [few, whole] = [selected.manifest!.transfer!.publicSet, all.manifest!.transfer!.publicSet];
  expect(few).toMatchObject({ digest: whole.digest, examples: 50 });
  expect(few.fitted! + travel.heldOut).toBeLessThanOrEqual(20);
  expect(whole.fitted).toBe(45);
});

test("of a set with more texts than the steps can see a random sample is taken, the same for the same seed", async () => {
  const rows = Array.from({ length: 700 }, (_, i) => `${JSON.stringify({ text: `film ${i}` })}\n`);
  const many = file("many.jsonl", rows.join(""));
  const moved = async (out: string, ...more: string[]) => {
    const { code, stdout, stderr } = await softpost("--json", ...transferBy([many], out, ...more));
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("Of 700 public texts 524 are taken at random: 6 steps of 4 see no more");
    return { ...JSON.parse(stdout), ...(await readPromptFolder(at(out))) };
  };
  const [one, same] = [await moved("sampled"), await moved("sampled-again")];
  const other = await moved("sampled-otherwise", "--seed", "1");
  expect(one.travel.heldOut).toBe(70);
  expect(one.manifest!.transfer!.publicSet).toMatchObject({ examples: 700, fitted: 524 - 70 });
  expect(same.prompt).toEqual(one.prompt);
  expect(other.prompt).not.toEqual(one.prompt);
});

test("a text that is there several times, or becomes another's when it is cut, is fitted to or measured on, not both", async () => {
  const { maxLength } = JSON.parse(readFileSync(TASK, "utf8"));
  const begin = "film ".repeat(maxLength);
  const rows = Array.from({ length: 20 }, (_, i) => `${JSON.stringify({ text: `${begin}${i}` })}\n`);
  const cut = await json(...transferBy([file("cut.jsonl", rows.join(""))], "cut"));
  expect(cut.travel).toBeNull();
  const twice = rows.map((_, i) => `${JSON.stringify({ text: `film ${i % 10}` })}\n`);
  const { travel } = await json(...transferBy([file("twice.jsonl", twice.join(""))], "twice"));
  expect(travel.heldOut).toBe(2);
  const { code, stderr } = await softpost(...transferBy([at("cut.jsonl")], "cut-two", "--start", "words", "prompt"));
  expect(code).toBe(1);
  expect(stderr).toContain("at least 10 different texts");
});

test.each([["one"], ["several"]])("public texts that are a folder, or aren't there, are refused: %s", async (how) => {
  for (const path of [folder, "/nowhere.jsonl"]) {
    const { code, stderr } = await softpost(...transferBy(how === "one" ? [path] : [texts, path], "none"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/can't be read \((EISDIR|ENOENT)\)/);
  }
});

test("a class that the student hardly ever says on the public texts is told, by name", async () => {
  const same = file("same.jsonl", `${JSON.stringify({ text: "the film was long" })}\n`.repeat(20));
  const { stderr, code } = await softpost(...transferBy([same], "same"));
  expect(code, stderr).toBe(0);
  const names = JSON.parse(readFileSync(TASK, "utf8")).labels.map(({ name }: { name: string }) => name);
  const told = names.filter((name: string) => stderr.includes(`hardly ever says ${name}:`));
  expect(told).toHaveLength(names.length - 1);
});

/** Mutual information of text and class by the probabilities that `predict` writes of all texts. */
async function informationOf(data: string): Promise<number> {
  const of = ["--model", at("student"), "--prompt", at("prompt"), "--data", data];
  const { code, stdout, stderr } = await softpost("--threads", "1", "predict", ...of);
  expect(code, stderr).toBe(0);
  const rows = stdout.trimEnd().split("\n");
  const all = rows.map((row) => Object.values<number>(JSON.parse(row).probabilities));
  const entropy = (p: readonly number[]) => p.reduce((sum, x) => sum - x * Math.log(x), 0);
  const mean = all[0]!.map((_, k) => all.reduce((sum, p) => sum + p[k]!, 0) / all.length);
  return entropy(mean) - all.reduce((sum, p) => sum + entropy(p), 0) / all.length;
}

test("of several public sets the one is taken that the prompted student tells apart best", async () => {
  const same = file("same-again.jsonl", `${JSON.stringify({ text: "the film was long" })}\n`.repeat(20));
  const { code, stdout, stderr } = await softpost("--json", "--threads", "1", ...transferBy([same, texts], "ranked"));
  expect(code, stderr).toBe(0);
  expect(stderr).toContain(`Public set taken: ${texts}`);
  const { ranked } = JSON.parse(stdout);
  expect(ranked.map((set: { texts: number }) => set.texts)).toEqual([50, 20]);
  expect(ranked[0].information).toBeCloseTo(await informationOf(texts), 5);
  expect(ranked[1].information).toBeCloseTo(0, 6);
  expect(ranked[1].unnamed).toBeGreaterThan(0);
  const [taken, alone] = [await readPromptFolder(at("ranked")), await readPromptFolder(at("words"))];
  expect(taken.prompt).toEqual(alone.prompt);
  expect(taken.manifest?.transfer).toEqual({ ...alone.manifest!.transfer!, ranked });
});

test("too many public sets are refused", async () => {
  const many = await softpost(...transferBy(Array<string>(17).fill(texts), "refused"));
  expect([many.code, many.stderr]).toEqual([1, expect.stringContaining("1 to 16 sets")]);
});

test("the whole vocabulary is compared at the paper's temperature", async () => {
  await json(...transfer("vocabulary", "--loss", "vocabulary", "--alpha", "0.5"));
  const { manifest } = await readPromptFolder(at("vocabulary"));
  expect(manifest?.transfer).toMatchObject({ loss: "vocabulary", temperature: 2, alpha: 0.5 });
});

describe("an open student", () => {
  const open = () => [...transfer("opened"), "--student", at("open"), "--prompt", at("open-prompt")];

  beforeAll(async () => {
    mkdirSync(at("tokenizer"));
    const words = ["good", "bad", "great", "terrible"].map((word) => ` ${word}`.repeat(30));
    const bpe = trainBpe([readFileSync(TRAIN, "utf8"), ...words], 400);
    for (const [name, content] of Object.entries(tokenizerFiles(bpe)))
      writeFileSync(join(at("tokenizer"), name), content);
    const config = JSON.parse(readFileSync(new URL("../../demo/model/config.json", import.meta.url), "utf8"));
    const small = { ...config, n_layer: 1, n_embd: 16, n_head: 2, vocab_size: bpe.tokens.length };
    const own = file("config.json", JSON.stringify(small));
    const corpus = ["--corpus", TRAIN, "--held-out", TRAIN, "--tokenizer", at("tokenizer")];
    const few = ["--steps", "3", "--batch-size", "2", "--max-length", "8"];
    await json("pretrain", ...corpus, "--config", own, ...few, "--out", at("open"));
    await tune(at("open"), at("open-prompt"));
  });

  test("of another width and vocabulary gives a prompt for the target", async () => {
    const { travel } = await json(...open(), "--open", "--alpha", "0.2");
    expect(travel.heldOut).toBe(5);
    const moved = await readPromptFolder(at("opened"));
    expect(moved).toMatchObject({ virtualTokens: 4, dimension: 32 });
    const tuned = await readPromptFolder(at("open-prompt"));
    expect(moved.manifest?.transfer?.student).toEqual(tuned.manifest?.model);
    expect(moved.manifest?.model.digest).not.toBe(tuned.manifest?.model.digest);
    const evaluate = ["--model", fixture("tiny-gpt2"), "--task", TASK, "--data", TRAIN, "--prompt", at("opened")];
    expect(await json("evaluate", ...evaluate)).toMatchObject({ examples: 12 });
  });

  test("is refused where it claims to be cut from the target", async () => {
    const { code, stderr } = await softpost(...open(), "--out", at("refused"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/give other ids for|token embeddings/);
  });

  test.each([
    [["--loss", "vocabulary"], /the vocabulary loss can only be used/],
    [["--start", "prompt"], /a start from the student's prompt can only be used/],
  ])("can't be used with %j", async (more, message) => {
    const { code, stderr } = await softpost(...open(), "--open", "--out", at("refused"), ...more);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });
});
