/** The loss of answers and the prompt's gradients against PEFT: golden/make_generation.py. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../../../shared/graph/shape.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import { answerHidden, sequenceFeeds, sequenceLosses } from "../../../shared/training/sequences.ts";
import { batchMean } from "../../../shared/training/tune.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";
import { tinyModel } from "../../helpers/tiny-gpt2.ts";

const folder = new URL("golden/generation/", import.meta.url);
const CLOSE = 2e-5;

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

describe.each(readdirSync(folder))("%s", (name) => {
  const tensor = goldenTensors(new URL(`${name}/golden.safetensors`, folder));
  const [B, T] = tensor("ids").shape as [number, number];
  const rows = Array.from({ length: B }, (_, row) => {
    const ids = Int32Array.from(tensor("ids").data.subarray(row * T, row * T + tensor("lengths").data[row]!));
    return { ids, start: tensor("starts").data[row]!, readAt: 0 };
  });

  test("loss, gradient and each example's gradient of a batch with answers of different lengths", async () => {
    const model = await tinyModel(fileURLToPath(new URL(name, folder)));
    const [P, D] = tensor("prompt").shape as [number, number];
    const prompt = variable("prompt", [P, D]);
    const shared = reshape(prompt, [1, P, D]);
    const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
    await engine.set({ prompt: tensor("prompt") });
    const losses = sequenceLosses(model, shared);
    const loss = batchMean(losses);
    const together = await engine.load({
      outputs: { losses, loss, gradient: gradients(loss, [prompt])[0]! },
    });
    const states = await engine.load({ outputs: { hidden: answerHidden(model, shared) } });
    const each = await engine.load({
      outputs: { gradients: gradients(reduceSum(sequenceLosses(model, apart)), [apart])[0]! },
    });
    const padded = { length: 12, answer: 8 };
    for (const sizes of [undefined, padded]) {
      const feeds = sequenceFeeds(rows, sizes);
      const values: Record<string, Value> = {
        ...(await together.run(feeds)),
        ...(await each.run(feeds)),
        ...(await states.run(feeds)),
      };
      for (const of of ["losses", "loss", "gradient", "gradients"]) expectNear(values[of], tensor(of), CLOSE, of);
      if (!sizes) expectNear(values.hidden, tensor("hidden"), CLOSE, "hidden");
      else expect(values.hidden!.shape).toEqual([B * padded.answer, D]);
    }
  });
});
