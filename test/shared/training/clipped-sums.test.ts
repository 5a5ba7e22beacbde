/** What a record adds to a private sum has norm 2²⁰ in grid units at most, whatever its gradient and the clip norm are. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine, type Session } from "../../../shared/graph/engine.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import type { Model } from "../../../shared/models/model.ts";
import { GRID_UNITS_PER_CLIP } from "../../../shared/privacy/noise.ts";
import { clippedSum } from "../../../shared/training/clipped-sums.ts";
import { scalar } from "../../../shared/training/optimizers.ts";
import { clippedMean } from "../../../shared/training/unit-sums.ts";
import { tinyModel } from "../../helpers/tiny-gpt2.ts";

const [P, D] = [2, 4];
/** A loss whose gradient is the input `given`. */
const objective = {
  losses: (_: Model, prompt: Tensor) =>
    reshape(reduceSum(mul(prompt, input("given", "float32", ["B", P, D])), [1, 2]), ["B"]),
};

let engine: Engine;
let session: Session;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  const { sum, used } = clippedSum({ model: await tinyModel(), objective }, variable("prompt", [P, D]));
  session = await engine.load({ outputs: { sum, used } });
  await engine.set({ prompt: { shape: [P, D], data: new Float32Array(P * D) } });
});
afterAll(() => engine.close());

/** A record's whole numbers; undefined if it is left out. */
async function vectorOf(gradient: readonly number[], clip: number): Promise<Int32Array | undefined> {
  const { sum, used } = await session.run({
    given: { shape: [1, P, D], data: Float32Array.from(gradient) },
    counted: { shape: [1], data: Int32Array.of(1) },
    clip: scalar(clip),
  });
  const vector = sum!.data as Int32Array;
  if (used!.data[0] === 1) return vector;
  expect([...vector]).toEqual(new Array(P * D).fill(0));
  return undefined;
}

const squares = (vector: ArrayLike<number>) =>
  Array.from(vector, BigInt).reduce((sum, value) => sum + value * value, 0n);
const LARGEST = BigInt(GRID_UNITS_PER_CLIP) ** 2n;
const same = (value: number) => new Array<number>(P * D).fill(value);

/** Numbers of all magnitudes, and what is none. */
const magnitude = (least: number, most: number) =>
  fc
    .tuple(fc.integer({ min: least, max: most }), fc.double({ min: 1, max: 2, noNaN: true }))
    .map(([exponent, of]) => of * 2 ** exponent);
const special = fc.constantFrom(
  0,
  -0,
  2 ** -149,
  2 ** -126,
  2 ** -63,
  3.4e38,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
);
const number = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(magnitude(-149, 127), fc.constantFrom(1, -1)).map(([size, sign]) => size * sign) },
  { weight: 1, arbitrary: special },
);
const gradient = fc.oneof(number.map(same), fc.array(number, { minLength: P * D, maxLength: P * D }));
const clip = magnitude(-126, 126);

test("no record adds more than the clip norm, from the smallest to the largest gradients and norms", async () => {
  await fc.assert(
    fc.asyncProperty(gradient, clip, async (values, norm) => {
      const vector = await vectorOf(values, norm);
      if (vector) expect(squares(vector) <= LARGEST).toBe(true);
    }),
    {
      numRuns: 1000,
      // The norm is 0 in float32, and every coordinate more than int32 holds.
      examples: [
        [same(1e-24), 2 ** -99],
        [same(-1e-24), 2 ** -99],
        [same(1e-23), 2 ** -100],
        [same(1e-19), 1e-12],
      ],
    },
  );
});

test("no unit's mean is longer, either", () => {
  fc.assert(
    fc.property(fc.array(gradient, { minLength: 1, maxLength: 3 }), clip, (rows, norm) => {
      const vector = clippedMean(
        rows.map((values) => Float32Array.from(values)),
        norm,
      );
      if (vector) expect(squares(vector) <= LARGEST).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test.each([1e-12, 1e-6, 1, 1e12])(
  "at a clip norm of %f gradients around it are clipped to it, and none is left out",
  async (norm) => {
    for (const size of [1e-3, 0.9, 1.1, 1e3]) {
      const vector = await vectorOf(same((norm * size) / Math.sqrt(P * D)), norm);
      const length = Math.sqrt(Number(squares(vector!))) / GRID_UNITS_PER_CLIP;
      expect(length / Math.min(1, size)).toBeGreaterThan(0.997);
      expect(length / Math.min(1, size)).toBeLessThanOrEqual(1);
    }
  },
);
