import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MaskedBackend } from "../../../serving/engine/masked-backend.ts";
import { Engine } from "../../../shared/graph/engine.ts";
import type { Model } from "../../../shared/models/model.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { predict } from "../../../shared/training/evaluate.ts";
import { tinyModel } from "../../helpers/tiny-gpt2.ts";

const folder = fileURLToPath(new URL("../../shared/models/golden/families/roberta", import.meta.url));
const draws = new Draws(seededRandom(3));
let model: Model;
let backend: MaskedBackend;
let engine: Engine;

beforeAll(async () => {
  model = await tinyModel(folder);
  backend = new MaskedBackend(model, { threads: 1, device: "cpu" });
  engine = new Engine({ threads: 1 });
});
afterAll(async () => {
  await backend.close();
  await engine.close();
});

const progress = (signal = new AbortController().signal) => ({ signal, onPrompt: () => {}, onCompletion: () => {} });
const prompt = (rows: number) => {
  const { width } = model.config;
  return { shape: [rows, width], data: Float32Array.from({ length: rows * width }, () => draws.uniform53() - 0.5) };
};

test("texts of several prompts at once have the figures of predict, each with its own", async () => {
  const texts = [3, 9, 5, 7].map((length) => ({
    ids: Int32Array.from({ length }, () => 4 + draws.integer(model.config.vocabulary - 4)),
    readAt: length - 2,
  }));
  const classes = [[5, 6], [7]];
  const prompts = [prompt(4), prompt(4), prompt(2)];
  const scores = await Promise.all(
    prompts.map((own) => Promise.all(texts.map((text) => backend.ask({ ...text, prompt: own }, progress())))),
  );
  for (const [i, own] of prompts.entries()) {
    const wanted = await predict({ engine, model, classes, prompt: own }, texts, {});
    for (const [row, each] of scores[i]!.entries()) {
      const weights = classes.map((ids) => Math.exp(ids.reduce((sum, id) => sum + each[id]!, 0) / ids.length));
      expect(weights[0]! / (weights[0]! + weights[1]!)).toBeCloseTo(wanted[2 * row]!, 6);
    }
  }
});

test("who hangs up isn't answered, and nothing is continued", async () => {
  const abort = new AbortController();
  const text = { ids: Int32Array.of(4, 5, 6), readAt: 1, prompt: prompt(4) };
  const [gone, other] = [backend.ask(text, progress(abort.signal)), backend.ask(text, progress())];
  const late = backend.ask(text, progress(abort.signal));
  abort.abort();
  await expect(late).rejects.toThrow(/nobody waits/);
  expect(await other).toHaveLength(model.config.vocabulary);
  await gone;
  await expect(backend.complete()).rejects.toThrow(/classifies only/);
});
