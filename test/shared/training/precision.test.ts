/** Half precision, which ONNX Runtime computes on the CPU too, against float32. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../../../shared/graph/shape.ts";
import { type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import type { Precision } from "../../../shared/models/model.ts";
import { frozenWeights } from "../../../shared/models/weights.ts";
import { promptGradients } from "../../../shared/training/loss-scale.ts";
import { exampleLosses } from "../../../shared/training/objective.ts";
import { batchMean } from "../../../shared/training/tune.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { goldenTensors } from "../../helpers/golden.ts";
import { softpost } from "../../helpers/softpost.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

test.each(["gpt2-own-head-gelu", "llama-tied-grouped", "llama-rope-yarn", "qwen3", "roberta", "bert"])(
  "the prompt's gradients point where float32's do: %s",
  async (name) => {
    const folder = new URL(`../models/golden/families/${name}`, import.meta.url);
    const tensor = goldenTensors(new URL(`${folder}/golden.safetensors`));
    const checkpoint = await openCheckpoint(fileURLToPath(folder));
    const [P, D] = tensor("prompt").shape as [number, number];
    const run = async (precision: Precision) => {
      const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, precision));
      const prompt = variable("prompt", [P, D]);
      const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
      await engine.set({ prompt: tensor("prompt") });
      const whole = ({ shape, data }: Value) => ({ shape, data: Int32Array.from(data) });
      const feeds = ["ids", "lengths", "read", "labels"].map((of) => [of, whole(tensor(of))]);
      const gradient = async (loss: Tensor, wanted: Tensor) => {
        const session = await engine.load({ outputs: { gradient: promptGradients(loss, [wanted], model)[0]! } });
        return (await session.run(Object.fromEntries(feeds))).gradient!.data;
      };
      const losses = (of: Tensor) => exampleLosses(model, [[5], [9]], of);
      return {
        all: await gradient(batchMean(losses(reshape(prompt, [1, P, D]))), prompt),
        each: await gradient(reduceSum(losses(apart)), apart),
      };
    };
    const [full, half] = [await run("float32"), await run("float16")];
    for (const kind of ["all", "each"] as const) {
      expect(cosine(half[kind], full[kind]), kind).toBeGreaterThanOrEqual(0.999);
      expect(half[kind], kind).not.toEqual(full[kind]);
    }
  },
);

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x, (value, i) => value * y[i]!).reduce((s, v) => s + v);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

test("tuning in half precision reaches float32's accuracy", async () => {
  const folder = temporaryFolder();
  const data = ["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json")];
  const rows = ["--train", fixture("tiny-task/train.jsonl"), "--eval", fixture("tiny-task/train.jsonl")];
  const run = async (precision: string) => {
    const size = ["--prompt-tokens", "8", "--steps", "60", "--batch-size", "12", "--lr", "0.05"];
    const out = ["--out", `${folder}/${precision}`, "--precision", precision, "--json"];
    const { stdout } = await softpost("tune", ...data, ...rows, ...size, ...out);
    return JSON.parse(stdout) as { accuracy: number; loss: number };
  };
  const [full, half] = [await run("fp32"), await run("fp16")];
  expect(full.accuracy).toBeGreaterThan(0.9);
  expect(half.accuracy).toBe(full.accuracy);
  expect(Math.abs(half.loss - full.loss)).toBeLessThan(0.02);
});
