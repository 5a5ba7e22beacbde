import fc from "fast-check";
import { expect, test } from "vitest";
import { epsilonBounds, type NeighbouringRun } from "../../../shared/privacy/accountant.ts";
import { gaussianEpsilonBounds } from "../../../shared/privacy/gaussian.ts";
import {
  decodeComposition,
  emptyComposition,
  encodeComposition,
  runningEpsilon,
  withRun,
} from "../../../shared/privacy/running-composition.ts";

const composed = (runs: readonly NeighbouringRun[]) => runs.reduce(withRun, emptyComposition());

const runOf = fc.record({
  sampleRate: fc.double({ min: 1e-3, max: 0.5, noNaN: true }),
  noiseMultiplier: fc.double({ min: 0.7, max: 8, noNaN: true }),
  steps: fc.integer({ min: 1, max: 2000 }),
});

test("nothing costs nothing", () => {
  expect(runningEpsilon(emptyComposition(), 1e-5)).toBe(0);
});

test("is never below the composition's epsilon, and hardly above it", () => {
  fc.assert(
    fc.property(fc.array(runOf, { minLength: 1, maxLength: 4 }), fc.constantFrom(1e-3, 1e-5, 1e-6), (runs, delta) => {
      // These bounds are compared with other accountants' in pld.test.ts.
      const { lower, upper } = epsilonBounds(runs, delta);
      const epsilon = runningEpsilon(composed(runs), delta);
      expect(epsilon).toBeGreaterThanOrEqual(lower);
      // Putting a run on the grid moves a loss up by less than a node, so a composition's ε by no more than a node a run.
      if (upper < 20) expect(epsilon).toBeLessThanOrEqual(upper * 1.002 + runs.length * 2 ** -9);
    }),
    { numRuns: 15, examples: [[[{ sampleRate: 1e-3, noiseMultiplier: 3.6528013685, steps: 1 }], 1e-6]] },
  );
});

test("of runs without sampling is that of one Gaussian mechanism", () => {
  const runs = [1.5, 4, 9, 30].map((noiseMultiplier) => ({ sampleRate: 1, noiseMultiplier, steps: 3 }));
  const mu = Math.sqrt(runs.reduce((sum, { noiseMultiplier, steps }) => sum + steps / noiseMultiplier ** 2, 0));
  const exact = gaussianEpsilonBounds(mu, 1e-5).upper;
  const epsilon = runningEpsilon(composed(runs), 1e-5);
  expect(epsilon).toBeGreaterThanOrEqual(exact);
  expect(epsilon).toBeLessThan(exact * 1.001);
});

test("doesn't drift above with many releases, and grows with each", () => {
  const runs = Array.from({ length: 24 }, (_, i) => ({ sampleRate: 0.02, noiseMultiplier: 2 + i / 50, steps: 300 }));
  let [composition, before] = [emptyComposition(), 0];
  for (const run of runs) {
    composition = withRun(composition, run);
    const epsilon = runningEpsilon(composition, 1e-5);
    expect(epsilon).toBeGreaterThan(before);
    before = epsilon;
  }
  const { lower, upper } = epsilonBounds(runs, 1e-5);
  expect(before).toBeGreaterThanOrEqual(lower);
  expect(before).toBeLessThan(upper * 1.002);
});

test("counts a run whose record is replaced as such", () => {
  const runs = [
    { sampleRate: 0.02, noiseMultiplier: 1.5, steps: 400 },
    { sampleRate: 0.05, noiseMultiplier: 3, steps: 200, neighbouring: "replace-one" as const },
    { sampleRate: 1, noiseMultiplier: 40, steps: 9, neighbouring: "replace-one" as const },
  ];
  const { lower, upper } = epsilonBounds(runs, 1e-5);
  const epsilon = runningEpsilon(composed(runs), 1e-5);
  expect(epsilon).toBeGreaterThanOrEqual(lower);
  expect(epsilon).toBeLessThanOrEqual(upper * 1.002 + 1e-3);
  const { upper: plain } = epsilonBounds(
    runs.map(({ neighbouring: _, ...run }) => run),
    1e-5,
  );
  expect(epsilon).toBeGreaterThan(plain);
});

test("of what no budget allows is a bound all the same, and ends", () => {
  const loud = { sampleRate: 0.5, noiseMultiplier: 0.05, steps: 1000 };
  const epsilon = runningEpsilon(composed([loud, loud]), 1e-5);
  expect(epsilon).toBeGreaterThan(1000);
});

test("is the same after it was kept as bytes, which are few enough for a row", () => {
  const composition = composed([
    { sampleRate: 0.01, noiseMultiplier: 1, steps: 1000 },
    { sampleRate: 1, noiseMultiplier: 20, steps: 10 },
  ]);
  const bytes = encodeComposition(composition);
  expect(decodeComposition(bytes)).toEqual(composition);
  expect(bytes.length).toBeLessThan(2_000_000);
  expect(decodeComposition(new Uint8Array(64))).toBeUndefined();
});
