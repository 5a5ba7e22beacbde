/** The loss of a transfer and its gradient against PyTorch: ../models/golden/make_gpt2.py and golden/make_transfer.py. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import { sharedPrompt } from "../../../shared/training/evaluate.ts";
import { InterruptedError } from "../../../shared/training/loop.ts";
import { ADAM } from "../../../shared/training/optimizers.ts";
import { cosineSchedule } from "../../../shared/training/schedule.ts";
import { chooseAlpha, readScores, readStates, transfer } from "../../../shared/training/transfer.ts";
import {
  cacheFeeds,
  type TransferCache,
  type TransferCriterion,
  transferStepLoss,
} from "../../../shared/training/transfer-loss.ts";
import { expectNear } from "../../helpers/golden.ts";
import { golden, tensor, examples as texts, tinyModel } from "../../helpers/tiny-gpt2.ts";

const torch = JSON.parse(readFileSync(new URL("golden/transfer.json", import.meta.url), "utf8"));
const classes = golden.classes as number[][];
const ids = { shape: [4, 7], data: Int32Array.from(golden.batch.ids.flat() as number[]) };
const lengths = { shape: [4], data: Int32Array.from(golden.batch.lengths as number[]) };
const ALL = Int32Array.of(0, 1, 2, 3);

const scores = (name: string) => Float32Array.from(torch.scores[name].flat() as number[]);
const bare = { student: scores("student"), target: scores("target") };
const byClasses: TransferCache = { prompted: scores("prompted"), bare };
const hidden = (name: string) => tensor(`transfer.hidden.${name}`).data as Float32Array;
const byStates: TransferCache = {
  prompted: hidden("studentPrompted"),
  bare: { student: hidden("student"), target: hidden("target") },
};

let engine: Engine;
let target: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  target = await tinyModel();
});
afterAll(() => engine.close());

/** Loss and gradient of a step on the golden batch. */
async function stepOf(criterion: TransferCriterion, cache: TransferCache, start = tensor("transfer.prompt.target")) {
  const prompt = variable("prompt", [5, 32]);
  const loss = transferStepLoss(target, criterion, sharedPrompt(prompt));
  const session = await engine.load({ outputs: { loss, gradient: gradients(loss, [prompt])[0]! } });
  await engine.set({ prompt: start });
  const width = cache.prompted.length / 4;
  const values = await session.run({ ids, lengths, ...cacheFeeds(cache, width, ALL) });
  await session.release();
  return { loss: values.loss!.data[0]!, gradient: values.gradient! };
}

describe("the loss and its gradient are PyTorch's", () => {
  test.each(["0", "0.3"])("by classes, α = %s", async (alpha) => {
    const cache = alpha === "0" ? { prompted: byClasses.prompted } : byClasses;
    const { loss, gradient } = await stepOf({ loss: "classes", alpha: Number(alpha), classes }, cache);
    const wanted = torch.losses[alpha];
    expect(loss).toBeCloseTo(wanted.loss, 5);
    expectNear(gradient, { shape: [5, 32], data: Float32Array.from(wanted.gradient.flat()) }, 1e-5);
  });

  test("by the whole vocabulary", async () => {
    const criterion = { loss: "vocabulary", alpha: golden.transfer.alpha, classes } as const;
    const { loss, gradient } = await stepOf(criterion, byStates);
    expect(loss).toBeCloseTo(golden.transfer.loss, 5);
    expectNear(gradient, tensor("transfer.gradient"), 1e-5);
  });

  test("by the whole vocabulary without the movement term", async () => {
    const criterion = { loss: "vocabulary", alpha: 0, classes } as const;
    const { loss } = await stepOf(criterion, { prompted: byStates.prompted });
    const imitation = golden.transfer.imitation as number[];
    expect(loss).toBeCloseTo(imitation.reduce((a, b) => a + b) / imitation.length, 5);
  });
});

test("the class loss's gradient is its slope", async () => {
  const criterion = { loss: "classes", alpha: 0.3, classes } as const;
  const start = tensor("transfer.prompt.target");
  const { gradient } = await stepOf(criterion, byClasses);
  const direction = Float32Array.from(gradient.data, (value) => Math.sign(value));
  const moved = (by: number): Value => ({
    shape: start.shape,
    data: Float32Array.from(start.data, (value, i) => value + by * direction[i]!),
  });
  const [up, down] = [
    await stepOf(criterion, byClasses, moved(1e-3)),
    await stepOf(criterion, byClasses, moved(-1e-3)),
  ];
  const slope = Array.from(gradient.data).reduce((sum, value) => sum + Math.abs(value), 0);
  expect((up.loss - down.loss) / 2e-3 / slope).toBeCloseTo(1, 2);
});

test("cached hidden states and class scores are PyTorch's, in the order of the texts", async () => {
  const data = await readStates(engine, target, texts, "reading", {}, tensor("transfer.prompt.target"));
  expectNear({ shape: [4, 32], data }, tensor("transfer.hidden.targetPrompted"), 1e-5);
  const read = await readScores(engine, target, classes, texts, "reading", {}, tensor("classify.prompt"));
  expectNear({ shape: [4, 2], data: read }, tensor("classify.scores.prompted"), 1e-5);
});

describe("a transfer", () => {
  const start = tensor("transfer.prompt.target");
  const path = () => join(mkdtempSync(join(tmpdir(), "softpost-")), "state");
  const run = (more: Partial<Parameters<typeof transfer>[0]>, watch: Parameters<typeof transfer>[1] = {}) =>
    transfer(
      {
        engine,
        target,
        texts,
        fitted: ALL,
        criterion: { loss: "classes", alpha: 0, classes },
        cache: byClasses,
        attempts: [{ start, learningRate: 0.05 }],
        steps: 40,
        averagedSteps: 5,
        batchSize: 2,
        optimizer: ADAM,
        seed: 1,
        state: { path: path(), settings: {}, resume: false },
        ...more,
      },
      watch,
    );

  test.each(["classes", "vocabulary"] as const)("lowers its loss: %s", async (loss) => {
    const criterion = { loss, alpha: 0.5, classes };
    const cache = loss === "classes" ? byClasses : byStates;
    const [short, long] = [
      await run({ criterion, cache, steps: 2, averagedSteps: 1 }),
      await run({ criterion, cache }),
    ];
    expect(long.losses[0]).toBeLessThan(short.losses[0]!);
    expect(long.prompts[0]!.shape).toEqual([5, 32]);
  });

  test("fits no text that is held out", async () => {
    const changed = Float32Array.from(byClasses.prompted, (value, i) => (i < 2 ? 100 : value));
    const fitted = Int32Array.of(1, 2, 3);
    const [a, b] = [await run({ fitted }), await run({ fitted, cache: { prompted: changed } })];
    expect(a.prompts[0]).toEqual(b.prompts[0]);
  });

  test("gives each attempt's prompt and loss as a run of its own would", async () => {
    const other = tensor("classify.prompt");
    const attempts = [
      { start, learningRate: 0.05 },
      { start: other, learningRate: 0.02 },
    ];
    const both = await run({ attempts });
    const apart = [await run({ attempts: [attempts[0]!] }), await run({ attempts: [attempts[1]!] })];
    expect(both.prompts).toEqual(apart.flatMap(({ prompts }) => prompts));
    expect(both.losses).toEqual(apart.flatMap(({ losses }) => losses));
  });

  test.each([3, 40, 57, 79])("goes on after step %i to the same prompts, bit for bit, and losses", async (stop) => {
    const attempts = [
      { start, learningRate: 0.05 },
      { start: tensor("classify.prompt"), learningRate: 0.02 },
    ];
    const whole = await run({ attempts });
    const state = { path: path(), settings: {}, resume: true };
    const abort = new AbortController();
    const onEvent = (event: { kind: string; done?: number }) => {
      if (event.kind === "progress" && event.done === stop) abort.abort();
    };
    await expect(run({ attempts, state }, { signal: abort.signal, onEvent })).rejects.toThrow(InterruptedError);
    expect(await run({ attempts, state })).toEqual(whole);
  });
});

test("the learning rate rises, and falls along torch's cosine", () => {
  const { steps, warmup, peak, rates } = torch.schedule;
  const ours = Array.from({ length: steps }, (_, step) => cosineSchedule(step, steps, peak, warmup));
  ours.forEach((rate, step) => {
    expect(rate).toBeCloseTo(rates[step], 10);
  });
});

test("α is the published heuristic", () => {
  // POST, table 20: RoBERTa-base with sst2 (.76), imdb (.77), tweets (.14), arise news (.41).
  expect(chooseAlpha(0.7225, 0.791, 2)).toBeCloseTo(0.76, 2);
  expect(chooseAlpha(0.7219, 0.7885, 2)).toBeCloseTo(0.77, 2);
  expect(chooseAlpha(0.3653, 0.5665, 3)).toBeCloseTo(0.14, 2);
  expect(chooseAlpha(0.388, 0.7098, 6)).toBeCloseTo(0.41, 2);
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(share, share, fc.integer({ min: 2, max: 20 }), (zeroShot, student, classes) => {
      const alpha = chooseAlpha(zeroShot, student, classes);
      return alpha >= 0 && alpha <= 1;
    }),
  );
});
