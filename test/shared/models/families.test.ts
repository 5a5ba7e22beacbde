/** Tiny random checkpoints of every family against transformers and PEFT: golden/make_families.py. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { crossEntropy } from "../../../shared/graph/operators/indexing.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../../../shared/graph/shape.ts";
import { constant, input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { families } from "../../../shared/models/families.ts";
import { readHidden } from "../../../shared/models/forward.ts";
import { frozenWeights, readWeight } from "../../../shared/models/weights.ts";
import { studentOf } from "../../../shared/training/distill.ts";
import { distillLoss } from "../../../shared/training/distill-loss.ts";
import { languageInputs, languageOutputs } from "../../../shared/training/language-rows.ts";
import { classScores } from "../../../shared/training/losses.ts";
import { textInputs } from "../../../shared/training/texts.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";

const folder = new URL("golden/families/", import.meta.url);
const [P, D] = [4, 16];
/** Relative error of float32 against values that were computed in float64. */
const CLOSE = 1e-5;

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

const whole = ({ shape, data }: Value): Value => ({ shape, data: Int32Array.from(data) });

describe.each(readdirSync(folder))("%s", (name) => {
  const tensor = goldenTensors(new URL(`${name}/golden.safetensors`, folder));
  const open = () => openCheckpoint(fileURLToPath(new URL(name, folder)));

  test("logits, loss, the prompt's gradient and each example's", async () => {
    const { family, config, ...checkpoint } = await open();
    const model = family.build(config, frozenWeights({ family, config, ...checkpoint }));
    const texts = textInputs();
    const classes = Array.from(tensor("classes").data, (word) => [word]);
    const labels = input("labels", "int32", ["B"]);
    const prompt = variable("prompt", [P, D]);
    const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
    const losses = (of: Tensor) => crossEntropy(classScores(model, readHidden(model, texts, of), classes), labels);
    const shared = reshape(prompt, [1, P, D]);
    const loss = mul(reduceSum(losses(shared)), 1 / 3);
    await engine.set({ prompt: tensor("prompt") });
    const session = await engine.load({
      outputs: {
        bare: model.logits(readHidden(model, texts)),
        logits: model.logits(readHidden(model, texts, shared)),
        loss,
        gradient: gradients(loss, [prompt])[0]!,
        gradients: gradients(reduceSum(losses(apart)), [apart])[0]!,
      },
    });
    const feeds = ["ids", "lengths", "read", "labels"].map((of) => [of, whole(tensor(of))]);
    const values = await session.run(Object.fromEntries(feeds));
    for (const of of ["bare", "logits", "loss", "gradient", "gradients"]) expectNear(values[of], tensor(of), CLOSE, of);
  });

  test("gradients of a student's weights", async () => {
    const teacher = await open();
    const student = studentOf(teacher, [0, 2]);
    const [batchSize, length] = tensor("distill.ids").shape as [number, number];
    const { ids, targets } = languageInputs({ batchSize, length, seed: 0 });
    const loss = distillLoss(
      languageOutputs(teacher.family.build(teacher.config, frozenWeights(teacher)), ids),
      languageOutputs(student.model, ids),
      { ...targets, real: constant(new Array(batchSize * length).fill(1)) },
    );
    for (const [weight, { shape }] of student.trained) {
      const data = await readWeight(teacher, student.origin(weight));
      await engine.set({ [weight]: { shape: shape as number[], data } });
    }
    const names = [...student.trained.keys()];
    const slopes = gradients(loss, [...student.trained.values()]);
    const session = await engine.load({
      outputs: { loss, ...Object.fromEntries(slopes.map((slope, i) => [`d.${names[i]}`, slope])) },
    });
    const values = await session.run({
      ids: whole(tensor("distill.ids")),
      labels: whole(tensor("distill.labels")),
      predicted: tensor("distill.predicted"),
    });
    expectNear(values.loss, tensor("distill.loss"), CLOSE, "loss");
    const scale = Math.max(...names.flatMap((weight) => Array.from(tensor(`distill.${weight}`).data, Math.abs)));
    for (const weight of names) {
      const wanted = tensor(`distill.${weight}`);
      // A key's bias moves all of a query's scores alike: its gradient is 0, and comes out as rounding noise.
      const noise = Math.max(...Array.from(wanted.data, Math.abs)) < 1e-9 * scale;
      if (noise) expect(Math.max(...Array.from(values[`d.${weight}`]!.data, Math.abs))).toBeLessThan(1e-6 * scale);
      else expectNear(values[`d.${weight}`], wanted, CLOSE, weight);
    }
  });
});

test("every architecture has a checkpoint here", async () => {
  const types = await Promise.all(
    readdirSync(folder).map(
      async (name) => (await openCheckpoint(fileURLToPath(new URL(name, folder)))).json.model_type,
    ),
  );
  // xlm-roberta's checkpoints are RoBERTa's with another vocabulary.
  expect(new Set([...types, "xlm-roberta"])).toEqual(new Set(Object.keys(families)));
});
