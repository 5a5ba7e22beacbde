/** WebGPU against the CPU, where there is a GPU or software in its place (Mesa's lavapipe or SwiftShader for Vulkan). */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { checkDevice } from "../../../shared/graph/device.ts";
import { type Device, Engine, type Value } from "../../../shared/graph/engine.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { frozenWeights } from "../../../shared/models/weights.ts";
import { promptGradients } from "../../../shared/training/loss-scale.ts";
import { exampleLosses } from "../../../shared/training/objective.ts";
import { batchMean } from "../../../shared/training/tune.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";

const missing = await checkDevice("webgpu").then(
  () => undefined,
  (error: Error) => error.message,
);
if (missing) console.log(`WebGPU is not tested: ${missing}`);

test.skipIf(missing !== undefined).each(["gpt2-own-head-gelu", "llama-tied-grouped", "roberta"])(
  "loss and prompt gradient of %s",
  async (name) => {
    const folder = new URL(`../models/golden/families/${name}`, import.meta.url);
    const tensor = goldenTensors(new URL(`${folder}/golden.safetensors`));
    const checkpoint = await openCheckpoint(fileURLToPath(folder));
    const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint));
    const [P, D] = tensor("prompt").shape as [number, number];
    const prompt = variable("prompt", [P, D]);
    const loss = batchMean(exampleLosses(model, [[5], [9]], reshape(prompt, [1, P, D])));
    const whole = ({ shape, data }: Value) => ({ shape, data: Int32Array.from(data) });
    const feeds = Object.fromEntries(["ids", "lengths", "read", "labels"].map((of) => [of, whole(tensor(of))]));
    const run = async (device: Device) => {
      const engine = new Engine({ device });
      await engine.set({ prompt: tensor("prompt") });
      const session = await engine.load({ outputs: { loss, gradient: promptGradients(loss, [prompt], model)[0]! } });
      const values = await session.run(feeds);
      await engine.close();
      return values;
    };
    const [gpu, cpu] = [await run("webgpu"), await run("cpu")];
    for (const of of ["loss", "gradient"]) expectNear(gpu[of], cpu[of]!, 1e-4, of);
  },
);

test("a device that isn't there is refused before anything is done", async () => {
  if (missing === undefined) return expect(missing).toBeUndefined();
  expect(missing).toMatch(/can't use WEBGPU here\. It needs a GPU.*Vulkan/);
});
