/** The loss of a transfer and its gradient against PyTorch: ../models/golden/make_gpt2.py. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import { sharedPrompt } from "../../../shared/training/evaluate.ts";
import { ADAM } from "../../../shared/training/optimizers.ts";
import { chooseAlpha, readStates, transfer, transferStepLoss } from "../../../shared/training/transfer.ts";
import { expectNear } from "../../helpers/golden.ts";
import { golden, tensor, examples as texts, tinyModel } from "../../helpers/tiny-gpt2.ts";

let engine: Engine;
let target: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  target = await tinyModel();
});
afterAll(() => engine.close());

test("loss and gradient are PyTorch's", async () => {
  const prompt = variable("prompt", [5, 32]);
  const loss = transferStepLoss(target, sharedPrompt(prompt));
  const session = await engine.load({ outputs: { loss, gradient: gradients(loss, [prompt])[0]! } });
  await engine.set({ prompt: tensor("transfer.prompt.target") });
  const values = await session.run({
    ids: { shape: [4, 7], data: Int32Array.from(golden.batch.ids.flat()) },
    lengths: { shape: [4], data: Int32Array.from(golden.batch.lengths) },
    target: tensor("transfer.hidden.target"),
    student: tensor("transfer.hidden.student"),
    studentPrompted: tensor("transfer.hidden.studentPrompted"),
    alpha: { shape: [], data: Float32Array.of(golden.transfer.alpha) },
  });
  expect(values.loss!.data[0]).toBeCloseTo(golden.transfer.loss, 5);
  expectNear(values.gradient, tensor("transfer.gradient"), 1e-5);
});

test("cached hidden states are PyTorch's, in the order of the texts", async () => {
  const data = await readStates(engine, target, texts, "reading", {}, tensor("transfer.prompt.target"));
  expectNear({ shape: [4, 32], data }, tensor("transfer.hidden.targetPrompted"), 1e-5);
});

test("a transfer lowers its loss", async () => {
  const states = (name: string) => tensor(`transfer.hidden.${name}`).data as Float32Array;
  const cache = { target: states("target"), student: states("student"), studentPrompted: states("studentPrompted") };
  const run = async (steps: number) => {
    const state = { path: join(mkdtempSync(join(tmpdir(), "softpost-")), "state"), settings: {}, resume: false };
    const start = tensor("transfer.prompt.target");
    const how = { alpha: 0.5, batchSize: 2, optimizer: ADAM, learningRate: 0.05, seed: 1 };
    return transfer({ engine, target, publicTexts: texts, cache, start, steps, state, ...how }, {});
  };
  const [short, long] = [await run(2), await run(40)];
  expect(long.loss).toBeLessThan(short.loss);
  expect(long.prompt.shape).toEqual([5, 32]);
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
