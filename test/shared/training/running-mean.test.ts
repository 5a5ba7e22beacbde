/** The mean of the last iterates, against the iterates themselves: runs of one seed that end a step later each. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import type { Model } from "../../../shared/models/model.ts";
import { createPlan } from "../../../shared/privacy/plan.ts";
import { seededRandom } from "../../../shared/protocol/random.ts";
import { dpTune } from "../../../shared/training/dp-tune.ts";
import { ADAM } from "../../../shared/training/optimizers.ts";
import { tune } from "../../../shared/training/tune.ts";
import { expectNear } from "../../helpers/golden.ts";
import { examples, golden, tensor, tinyModel } from "../../helpers/tiny-gpt2.ts";

const start = tensor("classify.prompt");

let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  model = await tinyModel();
});
afterAll(() => engine.close());

const tuning = (averagedSteps: number) => ({
  engine,
  model,
  classes: golden.classes,
  examples,
  start,
  averagedSteps,
  optimizer: ADAM,
  learningRate: 0.05,
  state: { path: join(mkdtempSync(join(tmpdir(), "softpost-")), "state"), settings: {}, resume: false },
});

async function openly(steps: number, averagedSteps: number) {
  const order = { kind: "shuffled", seed: 5 } as const;
  return (await tune({ ...tuning(averagedSteps), steps, batchSize: 2, order }, {})).prompt;
}

/** Seeded noise, so that runs of several lengths share their first steps; the plan's ε is not used. */
async function privately(steps: number, averagedSteps: number) {
  const numbers = { records: 4, batchSize: 2, clip: 0.1, noiseMultiplier: 1, delta: 1e-3 };
  const plan = { ...createPlan({ ...numbers, steps: 5, accountant: "rdp" }), steps };
  return (await dpTune({ ...tuning(averagedSteps), plan, random: seededRandom(1) }, {})).prompt;
}

test.each([
  { name: "without privacy", run: openly },
  { name: "with privacy", run: privately },
])("a prompt tuned $name is the mean of as many last iterates as were asked for", async ({ run }) => {
  const iterates = [await run(3, 1), await run(4, 1), await run(5, 1)];
  const mean = Float32Array.from(start.data, (_, i) => iterates.reduce((sum, { data }) => sum + data[i]! / 3, 0));
  expectNear(await run(5, 3), { shape: start.shape, data: mean }, 1e-6);
  expect([...iterates[0]!.data]).not.toEqual([...iterates[2]!.data]);
});
