/** The browser's ONNX Runtime behind the engine's port, in Node: the same WebAssembly, and the same graphs as in an engine's thread. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-web";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import type { Value } from "../../../shared/graph/graph.ts";
import { GraphEngine } from "../../../shared/graph/graph-engine.ts";
import { add, mul } from "../../../shared/graph/operators/elementwise.ts";
import { constant, input, variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import type { PrivacyPlan } from "../../../shared/privacy/plan.ts";
import { seededRandom } from "../../../shared/protocol/random.ts";
import { dpTune } from "../../../shared/training/dp-tune.ts";
import { ADAM } from "../../../shared/training/optimizers.ts";
import { tune } from "../../../shared/training/tune.ts";
import { LocalPort } from "../../../web/tune/worker/local-port.ts";
import { webRuntime } from "../../../web/tune/worker/runtime.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { examples, golden, tensor, tinyModel } from "../../helpers/tiny-gpt2.ts";

const start = tensor("classify.prompt");
let model: Model;
let thread: Engine;
let local: GraphEngine;
beforeAll(async () => {
  ort.env.wasm.numThreads = 1;
  model = await tinyModel();
  thread = new Engine({ threads: 1 });
  local = new GraphEngine(new LocalPort(webRuntime(ort, readFile)));
});
afterAll(async () => {
  await thread.close();
  await local.close();
});

test("variables belong to the engine, and graphs change them in the order of the calls", async () => {
  const x = variable("x", [2]);
  const sum = await local.load({
    outputs: {},
    updates: [{ variable: x, next: add(x, input("more", "float32", [2])) }],
  });
  const double = await local.load({ outputs: { before: x }, updates: [{ variable: x, next: mul(x, constant(2)) }] });
  await local.set({ x: { shape: [2], data: Float32Array.of(1, 2) } });
  const more = { shape: [2], data: Float32Array.of(10, 20) };
  const [, { before }] = await Promise.all([sum.run({ more }), double.run({}), sum.run({ more })]);
  expect(before!.data).toEqual(Float32Array.of(11, 22));
  expect((await local.get(["x"])).x!.data).toEqual(Float32Array.of(32, 64));
  await expect(sum.run({})).rejects.toThrow("no value is given for the input more");
  // A call that fails leaves the engine as it was.
  expect((await local.get(["x"])).x!.data).toEqual(Float32Array.of(32, 64));
});

const state = () => ({ path: join(temporaryFolder(), "state"), settings: {}, resume: false });
const tuning = (engine: GraphEngine) => ({
  engine,
  model,
  classes: golden.classes,
  examples,
  start,
  state: state(),
  averagedSteps: 2,
});

const largestDifference = (a: Value, b: Value) => Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i]!)));

test("tuning gives the prompt of the engine's thread", async () => {
  const run = (engine: GraphEngine) =>
    tune(
      { ...tuning(engine), optimizer: ADAM, learningRate: 1e-2, steps: 6, batchSize: 3, order: { kind: "file" } },
      {},
    );
  const [a, b] = [await run(thread), await run(local)];
  expect(largestDifference(a.prompt, b.prompt)).toBeLessThan(1e-5);
  expect(b.loss).toBeCloseTo(a.loss, 5);
  expect(a.prompt.data).not.toEqual(start.data);
});

const plan: PrivacyPlan = {
  records: 4,
  batchSize: 2,
  sampleRate: 0.5,
  steps: 4,
  clip: 1,
  // A few units of the grid.
  noiseMultiplier: 1e-9,
  delta: 1e-5,
  epsilon: 1,
  sampler: "poisson",
  neighbouring: "add-or-remove-one",
  accountant: "rdp",
};
const privately = (engine: GraphEngine, charge = async () => {}) =>
  dpTune(
    {
      ...tuning(engine),
      optimizer: { name: "sgd" },
      learningRate: 1,
      plan,
      random: seededRandom(1),
      rows: 4,
      charge,
    },
    {},
  );

test("a private step draws the same and sums the same, but for rounding; a record has one vector", async () => {
  const [a, b] = [await privately(thread), await privately(local)];
  expect(largestDifference(a.prompt, b.prompt)).toBeLessThan(1e-5);
  expect(b.leftOut).toBe(0);
});

test("where a record's vector depends on its company, private tuning is refused before anything is charged", async () => {
  const honest = webRuntime(ort, readFile);
  let runs = 0;
  const engine = new GraphEngine(
    new LocalPort({
      ...honest,
      async open(onnx, packed) {
        const session = await honest.open(onnx, packed);
        const run = async (...args: Parameters<typeof session.run>) => {
          const results = await session.run(...args);
          // One unit of the grid, every other time.
          const sum = results.sum?.data as Int32Array | undefined;
          if (sum) sum[0]! += runs++ % 2;
          return results;
        };
        return { outputNames: session.outputNames, release: () => session.release(), run } as unknown as typeof session;
      },
    }),
  );
  let charged = 0;
  const charge = async () => {
    charged++;
  };
  expect(await rejection(privately(engine, charge))).toContain("Private tuning is not safe on this device");
  expect([charged, runs > 1]).toEqual([0, true]);
  await engine.close();
});
