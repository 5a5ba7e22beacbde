/** An overflow in half precision costs its step, and nothing else. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { cast } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { constant, variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import type { TrainingEvent } from "../../../shared/training/events.ts";
import { guardedGradients, SkippedSteps } from "../../../shared/training/loss-scale.ts";
import { ADAM, optimizerFeeds, optimizerStep } from "../../../shared/training/optimizers.ts";

let engine: Engine;
beforeEach(() => {
  engine = new Engine({ threads: 1 });
});
afterEach(() => engine.close());

/** A graph whose gradient is `slope`, by way of half precision, whose largest number is 65504. */
async function load(slope: number, precision: Model["precision"] = "float16") {
  const x = variable("x", [2]);
  const steep = cast(mul(cast(x, "float16"), cast(constant(slope), "float16")), "float32");
  const { gradients, outputs, guard } = guardedGradients(reduceSum(steep), [x], { precision } as Model);
  const { updates, initial } = guard(optimizerStep(ADAM, [{ variable: x, gradient: gradients[0]! }]));
  await engine.set({ x: { shape: [2], data: Float32Array.of(0.5, -0.5) }, ...initial });
  return engine.load({ outputs: { loss: reduceSum(steep), ...outputs }, updates });
}

const state = async () => {
  const names = ["x", "adam.mean.x", "adam.square.x", "loss.scale", "loss.skipped"];
  return Object.fromEntries(Object.entries(await engine.get(names)).map(([name, { data }]) => [name, [...data]]));
};

test("a step that overflows changes nothing but the scale, until the gradient fits", async () => {
  const session = await load(1000);
  const skipped = new SkippedSteps();
  // 1000 · 64 is the first below 65504.
  for (const [i, scale] of [512, 256, 128, 64].entries()) {
    skipped.see(await session.run(optimizerFeeds(ADAM, i + 1, 0.1)));
    expect(await state()).toEqual({
      x: [0.5, -0.5],
      "adam.mean.x": [0, 0],
      "adam.square.x": [0, 0],
      "loss.scale": [scale],
      "loss.skipped": [i + 1],
    });
  }
  skipped.see(await session.run(optimizerFeeds(ADAM, 5, 0.1)));
  const after = await state();
  expect(after["loss.scale"]).toEqual([64]);
  expect(after["loss.skipped"]).toEqual([4]);
  expect(after["adam.mean.x"]![0]).toBeCloseTo(0.1 * 1000, 3);
  const told: TrainingEvent[] = [];
  skipped.tell({ onEvent: (event) => told.push(event) });
  expect(told).toEqual([
    { kind: "note", text: "4 steps overflowed in half precision and were skipped; the loss scale is 64 now." },
  ]);
});

test("a model whose own values overflow ends the run", async () => {
  const session = await load(65504);
  await engine.set({ x: { shape: [2], data: Float32Array.of(4, 4) } });
  const skipped = new SkippedSteps();
  const run = async () => {
    for (let i = 1; i <= 60; i++) skipped.see({ skipped: { shape: [], data: Float32Array.of(i) } });
  };
  await session.run(optimizerFeeds(ADAM, 1, 0.1));
  await expect(run()).rejects.toThrow(/can't be computed in half precision/);
});

test("full precision has no guard and no more variables", async () => {
  const x = variable("x", [2]);
  const { outputs, guard } = guardedGradients(reduceSum(mul(x, 2)), [x], { precision: "float32" } as Model);
  expect(outputs).toEqual({});
  const step = { updates: [], initial: {} };
  expect(guard(step)).toBe(step);
});
