/** GPT-2 against transformers and PEFT: golden/make_gpt2.py. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { crossEntropy } from "../../../shared/graph/operators/indexing.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../../../shared/graph/shape.ts";
import { input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { type Checkpoint, openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { allHidden, readHidden } from "../../../shared/models/forward.ts";
import type { Model } from "../../../shared/models/model.ts";
import { frozenWeights, readWeight } from "../../../shared/models/weights.ts";
import { classScores } from "../../../shared/training/losses.ts";
import { textInputs } from "../../../shared/training/texts.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";

const golden = JSON.parse(readFileSync(new URL("golden/golden.json", import.meta.url), "utf8"));
const tensor = goldenTensors(new URL("golden/golden.safetensors", import.meta.url));
const folder = new URL("../../fixtures/tiny-gpt2", import.meta.url).pathname;
const [P, D] = [5, 32];
/** What float32 can do against values that were computed in float64. */
const CLOSE = 1e-5;

let engine: Engine;
let checkpoint: Checkpoint;
let model: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  checkpoint = await openCheckpoint(folder);
  model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint));
});
afterAll(() => engine.close());

const texts = textInputs();
const feeds: Record<string, Value> = {
  ids: { shape: [4, 7], data: Int32Array.from(golden.batch.ids.flat()) },
  lengths: { shape: [4], data: Int32Array.from(golden.batch.lengths) },
  labels: { shape: [4], data: Int32Array.from(golden.labels) },
};

describe("hidden states, logits and scores at the read position", () => {
  test.each(["bare", "prompted"])("%s", async (kind) => {
    const prompt = kind === "prompted" ? variable("prompt", [P, D]) : undefined;
    const hidden = readHidden(model, texts, prompt && reshape(prompt, [1, P, D]));
    const scores = classScores(model, hidden, golden.classes);
    await engine.set({ prompt: tensor("classify.prompt") });
    const session = await engine.load({ outputs: { hidden, logits: model.logits(hidden), scores } });
    const values = await session.run(feeds);
    for (const name of ["hidden", "logits", "scores"]) {
      expectNear(values[name], tensor(`classify.${name}.${kind}`), CLOSE, name);
    }
  });
});

test("the gradient of a shared prompt, and of each example", async () => {
  const labels = input("labels", "int32", ["B"]);
  const loss = (prompt: Tensor) =>
    crossEntropy(classScores(model, readHidden(model, texts, prompt), golden.classes), labels);
  const prompt = variable("prompt", [P, D]);
  const shared = reshape(prompt, [1, P, D]);
  const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
  await engine.set({ prompt: tensor("classify.prompt") });
  const session = await engine.load({
    outputs: {
      losses: loss(apart),
      mean: mul(reduceSum(loss(shared)), 1 / 4),
      gradient: gradients(mul(reduceSum(loss(shared)), 1 / 4), [prompt])[0]!,
      gradients: gradients(reduceSum(loss(apart)), [apart])[0]!,
    },
  });
  const values = await session.run(feeds);
  expect(values.mean!.data[0]).toBeCloseTo(golden.classify.loss.prompted, 6);
  expectNear(values.losses, { shape: [4], data: Float32Array.from(golden.classify.losses) }, CLOSE, "losses");
  expectNear(values.gradient, tensor("classify.gradient"), CLOSE, "gradient");
  expectNear(values.gradients, tensor("classify.gradients"), CLOSE, "gradients");
});

test("a batch of one text and one of one-token texts", async () => {
  const hidden = readHidden(model, texts, reshape(variable("prompt", [P, D]), [1, P, D]));
  await engine.set({ prompt: tensor("classify.prompt") });
  const session = await engine.load({ outputs: { hidden } });
  const wanted = tensor("classify.hidden.prompted");
  const last = await session.run({
    ids: { shape: [1, 1], data: Int32Array.of(golden.batch.ids[3][0]) },
    lengths: { shape: [1], data: Int32Array.of(1) },
  });
  expectNear(last.hidden, { shape: [1, D], data: wanted.data.slice(3 * D) }, CLOSE);
});

test("gradients of all weights for the next-token loss", async () => {
  const names = [...checkpoint.weights.keys()];
  const variables = new Map(names.map((name) => [name, variable(name, checkpoint.weights.get(name)!.shape)]));
  const trained = checkpoint.family.build(checkpoint.config, (name) => variables.get(name)!);
  const [B, T] = [2, 8];
  const ids = input("ids", "int32", [B, T]);
  const logits = trained.logits(reshape(allHidden(trained, ids), [B * T, D]));
  const loss = mul(reduceSum(crossEntropy(logits, reshape(input("labels", "int32", [B, T]), [B * T]))), 1 / (B * T));
  for (const name of names) {
    await engine.set({
      [name]: { shape: checkpoint.weights.get(name)!.shape, data: await readWeight(checkpoint, name) },
    });
  }
  const wanted = gradients(loss, [...variables.values()]);
  const session = await engine.load({
    outputs: { loss, ...Object.fromEntries(wanted.map((g, i) => [`d.${names[i]}`, g])) },
  });
  const rows: number[][] = golden.pretrain.ids;
  const values = await session.run({
    ids: { shape: [B, T], data: Int32Array.from(rows.flatMap((row) => row.slice(0, -1))) },
    labels: { shape: [B, T], data: Int32Array.from(rows.flatMap((row) => row.slice(1))) },
  });
  expect(values.loss!.data[0]).toBeCloseTo(golden.pretrain.loss, 5);
  for (const name of names) expectNear(values[`d.${name}`], tensor(`pretrain.gradient.${name}`), 2 * CLOSE, name);
});
