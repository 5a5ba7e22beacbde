/** An overflow in half precision costs its step, and nothing else. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import type { TrainingEvent } from "../../../shared/training/events.ts";
import { guardedGradients, SkippedSteps } from "../../../shared/training/loss-scale.ts";
import { ADAM, optimizerFeeds, optimizerStep } from "../../../shared/training/optimizers.ts";

let engine: Engine;
beforeEach(() => {
  engine = new Engine({ threads: 1 });
});
afterEach(() => engine.close());

/**
 * A graph whose gradient is 1000 by way of a number that is `slope` times the loss scale. On the CPU, ONNX Runtime computes half precision in full: so it
 * is full precision's largest number, 3.4e38, that is passed here.
 */
async function load(slope: number) {
  const x = variable("x", [2]);
  const loss = reduceSum(mul(mul(x, 1000 / slope), slope));
  const { gradients, outputs, guard } = guardedGradients(loss, [x], { precision: "float16" } as Model);
  const { updates, initial } = guard(optimizerStep(ADAM, [{ variable: x, gradient: gradients[0]! }]));
  await engine.set({ x: { shape: [2], data: Float32Array.of(0.5, -0.5) }, ...initial });
  return engine.load({ outputs: { loss, ...outputs }, updates });
}

const state = async () => {
  const names = ["x", "adam.mean.x", "adam.square.x", "loss.scale", "loss.skipped"];
  return Object.fromEntries(Object.entries(await engine.get(names)).map(([name, { data }]) => [name, [...data]]));
};

test("a step that overflows changes nothing but the scale, until the gradient fits", async () => {
  const session = await load(1e36);
  const skipped = new SkippedSteps();
  // 1e36 · 256 is the first that fits.
  for (const [i, scale] of [512, 256].entries()) {
    skipped.see(await session.run(optimizerFeeds(ADAM, i + 1, 0.1)));
    expect(await state()).toEqual({
      x: [0.5, -0.5],
      "adam.mean.x": [0, 0],
      "adam.square.x": [0, 0],
      "loss.scale": [scale],
      "loss.skipped": [i + 1],
    });
  }
  skipped.see(await session.run(optimizerFeeds(ADAM, 3, 0.1)));
  const after = await state();
  expect([after["loss.scale"], after["loss.skipped"]]).toEqual([[256], [2]]);
  expect(after["adam.mean.x"]![0]).toBeCloseTo(0.1 * 1000, 3);
  const told: TrainingEvent[] = [];
  skipped.tell({ onEvent: (event) => told.push(event) });
  expect(told).toEqual([
    { kind: "note", text: "2 steps overflowed in half precision and were skipped; the loss scale is 256 now." },
  ]);
});

test("a model whose own values overflow ends the run", () => {
  const skipped = new SkippedSteps();
  const see = (count: number) => skipped.see({ skipped: { shape: [], data: Float32Array.of(count) } });
  for (let i = 1; i <= 50; i++) see(i);
  expect(() => see(51)).toThrow(/can't be computed in half precision/);
});

test("full precision has no guard and no more variables", async () => {
  const x = variable("x", [2]);
  const { outputs, guard } = guardedGradients(reduceSum(mul(x, 2)), [x], { precision: "float32" } as Model);
  expect(outputs).toEqual({});
  const step = { updates: [], initial: {} };
  expect(guard(step)).toBe(step);
});
