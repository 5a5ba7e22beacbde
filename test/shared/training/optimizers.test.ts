/** Optimisers against torch.optim: golden/make_optimizers.py. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { constant, input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { clipFactor, type Optimizer, optimizerFeeds, optimizerStep } from "../../../shared/training/optimizers.ts";
import { linearSchedule } from "../../../shared/training/schedule.ts";
import { expectNear } from "../../helpers/golden.ts";

interface Run {
  readonly optimizer: "sgd" | "adam" | "adamw";
  readonly options: {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    momentum?: number;
    noise_variance?: number;
  };
  readonly after: number[][];
}
const golden: { shape: number[]; start: number[]; gradients: number[][]; runs: Run[] } = JSON.parse(
  readFileSync(new URL("golden/optimizers.json", import.meta.url), "utf8"),
);

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

const runs = golden.runs.filter(({ options }) => !options.momentum);

test.each(runs)("$optimizer $options", async ({ optimizer: name, options, after }) => {
  const optimizer: Optimizer =
    name === "sgd"
      ? { name }
      : {
          name,
          betas: options.betas,
          epsilon: options.eps,
          weightDecay: options.weight_decay,
          ...(options.noise_variance !== undefined && { noiseVariance: options.noise_variance }),
        };
  const parameter = variable("parameter", golden.shape);
  const gradient = input("gradient", "float32", golden.shape);
  const { updates, initial } = optimizerStep(optimizer, [{ variable: parameter, gradient }]);
  const session = await engine.load({ outputs: {}, updates });
  await engine.set({ ...initial, parameter: { shape: golden.shape, data: Float32Array.from(golden.start) } });
  for (const [step, values] of golden.gradients.entries()) {
    const feeds = optimizerFeeds(optimizer, step + 1, options.lr);
    await session.run({ ...feeds, gradient: { shape: golden.shape, data: Float32Array.from(values) } });
    const wanted = { shape: golden.shape, data: Float32Array.from(after[step]!) };
    expectNear((await engine.get(["parameter"])).parameter, wanted, 1e-6, `step ${step + 1}`);
  }
});

test("gradients are scaled together to the limit, and left alone below it", async () => {
  const [a, b] = [constant([3, 0]), constant([0, 4])];
  const clipped = (x: Tensor, limit: number) => mul(x, clipFactor([a, b], limit));
  const session = await engine.load({ outputs: { a1: clipped(a, 1), b1: clipped(b, 1), b9: clipped(b, 9) } });
  const values = await session.run({});
  expect(values.a1!.data[0]).toBeCloseTo(0.6, 5);
  expect(values.b1!.data[1]).toBeCloseTo(0.8, 5);
  expect(values.b9!.data[1]).toBe(4);
});

test("the learning rate rises to its peak and falls to nothing", () => {
  const rates = Array.from({ length: 10 }, (_, step) => linearSchedule(step, 10, 1, 0.2));
  expect(rates.slice(0, 3)).toEqual([0.5, 1, 1]);
  expect(rates[9]).toBeCloseTo(1 / 8);
  expect(linearSchedule(0, 5, 1, 0)).toBe(1);
});
