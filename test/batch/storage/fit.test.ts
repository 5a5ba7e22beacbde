import { expect, test } from "vitest";
import { requireFit, transferNeed } from "../../../batch/storage/fit.ts";
import { TRANSFER_CAPACITY } from "../../../infra/definitions.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { rejection } from "../../helpers/problem.ts";

test("a target that its device can't hold is refused, with the sum", async () => {
  const checkpoint = await openCheckpoint(fixture("tiny-gpt2"));
  const target = { name: "tiny", checkpoint };
  await requireFit(target, {}, TRANSFER_CAPACITY);
  const small = { ...TRANSFER_CAPACITY, device: 0.5e9 };
  expect(await rejection(requireFit(target, {}, small))).toMatch(/GB of weights.*GB; the device has 0\.5 GB.*fp16/);
  const noHost = { ...TRANSFER_CAPACITY, host: 0.1e9 };
  expect(await rejection(requireFit(target, { precision: "fp16" }, noHost))).toMatch(
    /converted in the machine's memory.*0\.1 GB/,
  );
});

test("half precision takes half of the matrices", async () => {
  const checkpoint = await openCheckpoint(fixture("tiny-gpt2"));
  const [full, half] = [await transferNeed(checkpoint, {}), await transferNeed(checkpoint, { precision: "fp16" })];
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const shapes = [...checkpoint.weights.values()].map(({ shape }) => shape);
  const matrices = shapes.filter((shape) => shape.length > 1).reduce((sum, shape) => sum + size(shape), 0);
  expect(full.weights - half.weights).toBe(2 * matrices);
  // Stored in float32: nothing to convert, or the matrices.
  expect([full.converted, half.converted]).toEqual([0, 2 * matrices]);
});
