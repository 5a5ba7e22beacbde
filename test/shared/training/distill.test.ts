/** The loss of distillation, its gradients and AdamW steps against PyTorch: ../models/golden/make_gpt2.py. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { add, mul } from "../../../shared/graph/operators/elementwise.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { linear } from "../../../shared/graph/operators/linear.ts";
import { constant, input, type Tensor } from "../../../shared/graph/tensor.ts";
import { type Checkpoint, openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { allHidden } from "../../../shared/models/forward.ts";
import type { Model } from "../../../shared/models/model.ts";
import { frozenWeights, readWeight } from "../../../shared/models/weights.ts";
import { DISTILL_CLIP, DISTILL_OPTIMIZER, distill, studentOf } from "../../../shared/training/distill.ts";
import { distillLoss, measuredLanguageLoss } from "../../../shared/training/distill-loss.ts";
import { cosineDistance, languageLoss, softKl, weightedMean } from "../../../shared/training/losses.ts";
import { clipFactor, optimizerFeeds, optimizerStep } from "../../../shared/training/optimizers.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";

const golden = JSON.parse(readFileSync(new URL("../models/golden/golden.json", import.meta.url), "utf8"));
const tensor = goldenTensors(new URL("../models/golden/golden.safetensors", import.meta.url));
const [B, T] = [4, 7];

let engine: Engine;
let teacher: Checkpoint;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  teacher = await openCheckpoint(new URL("../../fixtures/tiny-gpt2", import.meta.url).pathname);
});
afterAll(() => engine.close());

test("loss, gradients and three AdamW steps on a padded batch are PyTorch's", async () => {
  const student = studentOf(teacher, [0, 2]);
  const ids = input("ids", "int32", [B, T]);
  const outputs = (model: Model) => {
    const hidden = reshape(allHidden(model, ids), [B * T, 32]);
    return { hidden, head: (rows: Tensor) => model.logits(rows) };
  };
  const rows: number[][] = golden.batch.ids;
  const lengths: number[] = golden.batch.lengths;
  const positions = (test: (t: number, length: number) => boolean) =>
    constant(lengths.flatMap((length) => Array.from({ length: T }, (_, t) => (test(t, length) ? 1 : 0))));
  const loss = distillLoss(
    outputs(teacher.family.build(teacher.config, frozenWeights(teacher))),
    outputs(student.model),
    {
      labels: reshape(input("labels", "int32", [B, T]), [B * T]),
      real: positions((t, length) => t < length),
      predicted: positions((t, length) => t + 1 < length),
    },
  );
  const names = [...student.trained.keys()];
  const variables: Tensor[] = [...student.trained.values()];
  const slopes = gradients(loss, variables);
  const scale = clipFactor(slopes, DISTILL_CLIP);
  const { updates, initial } = optimizerStep(
    DISTILL_OPTIMIZER,
    variables.map((variable, i) => ({ variable, gradient: slopes[i]!, scale, decay: false })),
  );
  const session = await engine.load({
    outputs: { loss, ...Object.fromEntries(slopes.map((slope, i) => [`d.${names[i]}`, slope])) },
    updates,
  });
  await engine.set(initial);
  for (const name of names) {
    const shape = student.trained.get(name)!.shape as number[];
    await engine.set({ [name]: { shape, data: await readWeight(teacher, student.origin(name)) } });
  }
  const feeds: Record<string, Value> = {
    ids: { shape: [B, T], data: Int32Array.from(rows.flat()) },
    labels: { shape: [B, T], data: Int32Array.from(rows.flatMap((row) => [...row.slice(1), 0])) },
  };
  for (const [step, { loss: wanted }] of golden.distill.steps.entries()) {
    const values = await session.run({ ...feeds, ...optimizerFeeds(DISTILL_OPTIMIZER, step + 1, 2.5e-4) });
    expect(values.loss!.data[0]! / wanted).toBeCloseTo(1, 5);
    if (step > 0) continue;
    for (const name of names) expectClose(values[`d.${name}`]!, tensor(`distill.gradient.${name}`), 1e-5, name);
  }
  const after = await engine.get(names);
  // Where a gradient is 0 in mathematics, AdamW makes steps of the size of the learning rate out of rounding noise.
  for (const name of names) expectClose(after[name]!, tensor(`distill.after.${name}`), 1e-4, name);
});

test("in pieces of rows it is the loss of all rows at once, and so is its gradient", async () => {
  const [rows, width, vocabulary] = [300, 12, 40];
  const wave = (shape: number[], speed: number): Value => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => 2 * Math.sin(speed * i * i + i)),
  });
  const each = (name: string) => input(name, "float32", [rows]);
  const [hidden, ofTeacher] = ["hidden", "teacher"].map((name) => input(name, "float32", [rows, width]));
  const weight = input("head", "float32", [vocabulary, width]);
  const head = (some: Tensor) => linear(some, weight, { transposed: true });
  const targets = { labels: input("labels", "int32", [rows]), predicted: each("predicted"), real: each("real") };
  const [teacher, student] = [ofTeacher!, hidden!].map((states) => ({ hidden: states, head }));
  const whole = add(
    add(
      mul(weightedMean(softKl(head(teacher!.hidden), head(student!.hidden)), targets.real), 5),
      mul(languageLoss(student!, targets), 2),
    ),
    weightedMean(cosineDistance(student!.hidden, teacher!.hidden), targets.real),
  );
  const outputs: Record<string, Tensor> = {
    measured: measuredLanguageLoss(student!, targets),
    language: languageLoss(student!, targets),
  };
  for (const [name, loss] of Object.entries({ whole, pieces: distillLoss(teacher!, student!, targets) })) {
    outputs[name] = loss;
    outputs[`d.${name}`] = gradients(loss, [hidden!])[0]!;
  }
  const session = await engine.load({ outputs });
  const integer = (most: number) => Int32Array.from({ length: rows }, (_, i) => (i * i + 3 * i) % most);
  const some = (most: number) => Float32Array.from(integer(most), (value) => (value === 0 ? 0 : 1));
  const values = await session.run({
    hidden: wave([rows, width], 0.31),
    teacher: wave([rows, width], 0.17),
    head: wave([vocabulary, width], 0.53),
    labels: { shape: [rows], data: integer(vocabulary) },
    predicted: { shape: [rows], data: some(7) },
    real: { shape: [rows], data: some(5) },
  });
  expectClose(values["d.pieces"]!, values["d.whole"]!, 1e-5, "gradient");
  expect(values.pieces!.data[0]! / values.whole!.data[0]!).toBeCloseTo(1, 5);
  expect(values.measured!.data[0]! / values.language!.data[0]!).toBeCloseTo(1, 5);
});

/** Within a tolerance of the largest element: some gradients are exactly 0 and come out as noise. */
function expectClose(actual: Value, wanted: Value, tolerance: number, what: string): void {
  expect(actual.shape, what).toEqual(wanted.shape);
  const keys = /c_attn\.bias$/.test(what) ? [32, 64] : [0, 0];
  const scale = Math.max(...Array.from(wanted.data, Math.abs));
  wanted.data.forEach((value, i) => {
    if (i >= keys[0]! && i < keys[1]!) return;
    expect(Math.abs(actual.data[i]! - value), `${what}[${i}]`).toBeLessThanOrEqual(tolerance * scale);
  });
}

test("distilling makes a student that transformers' naming fits, and lowers the loss", async () => {
  const folder = mkdtempSync(join(tmpdir(), "softpost-"));
  const tokens = Int32Array.from({ length: 400 }, (_, i) => (i * i + 3 * i) % 96);
  const run = (steps: number) =>
    distill(
      {
        engine,
        teacher,
        layers: [0, -1],
        tokens,
        steps,
        batchSize: 2,
        length: 16,
        learningRate: 5e-3,
        seed: 3,
        state: { path: join(folder, "state"), settings: {}, resume: false },
      },
      {},
    );
  const [short, long] = [await run(1), await run(60)];
  expect(long.loss).toBeLessThan(short.loss);
  expect(long.json.n_layer).toBe(2);
  const wanted = teacher.family.parameters(teacher.family.configure(long.json));
  expect(Object.keys(long.weights).sort()).toEqual(Object.keys(wanted).sort());
  expectNear(
    long.weights["transformer.wte.weight"],
    {
      shape: [96, 32],
      data: await readWeight(teacher, "transformer.wte.weight"),
    },
    1e-9,
  );
});

test("rows that are longer than the model's positions are refused", async () => {
  const size = { tokens: new Int32Array(999), steps: 1, batchSize: 1, length: 400, learningRate: 1, seed: 0 };
  const state = { path: "unused", settings: {}, resume: false };
  const run = distill({ engine, teacher, layers: [0], ...size, state }, {});
  await expect(run).rejects.toThrow(/they have 400 tokens, the model has \d+ positions/);
});

test("layers that the teacher does not have are all named", async () => {
  const options = {
    engine,
    teacher,
    tokens: new Int32Array(99),
    steps: 1,
    batchSize: 1,
    length: 8,
    learningRate: 1,
    seed: 0,
  };
  const state = { path: "unused", settings: {}, resume: false };
  await expect(distill({ ...options, layers: [0, 7, -9, 0], state }, {})).rejects.toMatchObject({
    faults: [{ message: /no layer 7/ }, { message: /no layer -9/ }, { message: /layer 0 is named twice/ }].map(
      ({ message }) => expect.objectContaining({ message: expect.stringMatching(message) }),
    ),
  });
});
