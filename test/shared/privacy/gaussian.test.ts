import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  gaussianDelta,
  gaussianEpsilonBounds,
  gaussianNoise,
  oneStepDeltaBounds,
  oneStepEpsilonBounds,
} from "../../../shared/privacy/gaussian.ts";
import { millsRatio, normalCdf } from "../../../shared/privacy/normal.ts";
import { cases } from "./cases.ts";

const relative = (value: number, reference: number) =>
  reference === 0 ? Math.abs(value) : Math.abs(value / reference - 1);

/** Bounds that hold, and are close together; references have 15 digits or so. */
function expectAround({ lower, upper }: { lower: number; upper: number }, exact: number) {
  expect(lower).toBeLessThanOrEqual(exact * (1 + 1e-14));
  expect(upper).toBeGreaterThanOrEqual(exact * (1 - 1e-14));
  expect(upper).toBeLessThanOrEqual(lower * (1 + 1e-9) + 1e-15);
}

describe("the normal distribution", () => {
  // python -c "from mpmath import *; mp.dps=30; [print(x, ncdf(x)) for x in map(mpf, ['-37','-8','-3','-1.5','-1.4','-.1','0','2'])]"
  it.each([
    [-37, 5.72557122252458e-300],
    [-8, 6.22096057427178e-16],
    [-3, 0.00134989803163009],
    [-1.5, 0.0668072012688581],
    [-1.4, 0.0807566592337711],
    [-0.1, 0.460172162722971],
    [0, 0.5],
    [2, 0.977249868051821],
  ])("cdf(%d)", (x, value) => {
    expect(relative(normalCdf(x), value)).toBeLessThan(1e-13);
  });

  it("has a Mills ratio that is the tail over the density, also where both underflow", () => {
    expect(relative(millsRatio(0), Math.sqrt(Math.PI / 2))).toBeLessThan(1e-15);
    expect(relative(millsRatio(100) * 100 * (1 + 1e-4), 1)).toBeLessThan(1e-7);
    expect(relative(millsRatio(-3) * Math.exp(-4.5), normalCdf(3) * Math.sqrt(2 * Math.PI))).toBeLessThan(1e-14);
  });
});

describe("the Gaussian mechanism", () => {
  it.each(cases.analytic_gaussian!.rows)("epsilon of sigma $noise_multiplier at delta $delta", (row) => {
    expectAround(gaussianEpsilonBounds(1 / row.noise_multiplier, row.delta), row.epsilon_exact);
  });

  it.each(cases.analytic_gaussian_sigma!.rows)("noise for epsilon $epsilon at delta $delta", (row) => {
    const sigma = gaussianNoise(row.epsilon, row.delta);
    expect(relative(sigma, row.sigma_dp_accounting)).toBeLessThan(1e-11);
    expect(gaussianEpsilonBounds(1 / sigma, row.delta).upper).toBeLessThanOrEqual(row.epsilon * (1 + 1e-14));
  });

  it.each(cases.rows.filter((row) => row.sampling_rate === 1))("$steps steps of sigma $noise_multiplier", (row) => {
    expectAround(gaussianEpsilonBounds(Math.sqrt(row.steps) / row.noise_multiplier, row.delta), row.epsilon_exact);
  });

  it("satisfies the duality of the hockey-stick divergence, δ(−ε) = 1 − e^(−ε)(1 − δ(ε))", () => {
    const mu = fc.double({ min: 1e-3, max: 30, noNaN: true });
    const epsilon = fc.double({ min: 0, max: 50, noNaN: true });
    fc.assert(
      fc.property(mu, epsilon, (mu, epsilon) => {
        const dual = 1 - Math.exp(-epsilon) * (1 - gaussianDelta(mu, epsilon));
        expect(Math.abs(gaussianDelta(mu, -epsilon) - dual)).toBeLessThan(1e-14);
      }),
      { seed: 3 },
    );
  });
});

describe("one subsampled step", () => {
  it.each(cases.single_step_exact_delta!.rows)("delta at q $sampling_rate, epsilon $epsilon", (row) => {
    const bounds = oneStepDeltaBounds(row.sampling_rate, row.noise_multiplier, row.epsilon);
    expectAround(bounds, row.delta_add_or_remove);
  });

  it.each(cases.rows.filter((row) => row.group === "single step"))("epsilon at q $sampling_rate", (row) => {
    expectAround(oneStepEpsilonBounds(row.sampling_rate, row.noise_multiplier, row.delta), row.epsilon_exact);
  });

  it("is the Gaussian mechanism at q = 1", () => {
    expect(oneStepEpsilonBounds(1, 0.8, 1e-5).upper).toBeCloseTo(gaussianEpsilonBounds(1 / 0.8, 1e-5).upper);
  });
});
