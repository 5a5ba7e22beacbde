import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { composedRdp, DEFAULT_ORDERS, rdpDelta, rdpEpsilon, renyiDivergence } from "../../../shared/privacy/rdp.ts";
import { cases, runOf } from "./cases.ts";

const relative = (value: number, reference: number) => Math.abs(value / reference - 1);

describe("one step", () => {
  it.each(cases.rdp_per_order!.rows)("order $order at q = $sampling_rate, sigma = $noise_multiplier", (row) => {
    const value = renyiDivergence(row.sampling_rate, row.noise_multiplier, row.order);
    expect(relative(value, row.rdp_exact)).toBeLessThan(1e-12);
  });

  it("agrees between the sum and the quadrature around whole orders", () => {
    for (const order of [2, 5, 30]) {
      for (const [q, sigma] of [
        [0.01, 0.5],
        [0.3, 2],
        [0.9, 10],
      ] as const) {
        const h = 1e-5;
        const around = (renyiDivergence(q, sigma, order + h) + renyiDivergence(q, sigma, order - h)) / 2;
        expect(relative(around, renyiDivergence(q, sigma, order))).toBeLessThan(1e-9);
      }
    }
  });

  it("grows with the order and the rate, falls with the noise", () => {
    const q = fc.double({ min: 1e-6, max: 0.99, noNaN: true });
    const sigma = fc.double({ min: 0.3, max: 100, noNaN: true });
    const order = fc.constantFrom(...DEFAULT_ORDERS.slice(0, 150));
    fc.assert(
      fc.property(q, sigma, order, (q, sigma, order) => {
        const here = renyiDivergence(q, sigma, order) * (1 - 1e-11);
        expect(here).toBeGreaterThan(0);
        expect(renyiDivergence(q, sigma, order + 0.7)).toBeGreaterThanOrEqual(here);
        expect(renyiDivergence(q * 1.01, sigma, order)).toBeGreaterThanOrEqual(here);
        expect(renyiDivergence(q, sigma * 0.99, order)).toBeGreaterThanOrEqual(here);
        expect(renyiDivergence(1, sigma, order)).toBeGreaterThanOrEqual(here);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe("epsilon", () => {
  it("has dp_accounting's 156 orders", () => {
    expect(DEFAULT_ORDERS.length).toBe(156);
    expect(DEFAULT_ORDERS.slice(97, 101)).toEqual([10.8, 10.9, 11, 12]);
  });

  it.each(cases.rows)("$id: $group, q = $sampling_rate, sigma = $noise_multiplier, $steps steps", (row) => {
    const { epsilon, order } = rdpEpsilon([runOf(row)], row.delta);
    expect(relative(epsilon, row.epsilon_rdp_exact)).toBeLessThan(1e-11);
    expect(epsilon).toBeLessThanOrEqual(row.epsilon_rdp * (1 + 1e-9));
    expect(order).toBe(row.rdp_exact_order);
  });

  it.each(cases.composition!.rows)("of a composition: $name", (row) => {
    const { epsilon } = rdpEpsilon(row.runs.map(runOf), row.delta);
    expect(relative(epsilon, row.epsilon_rdp_exact)).toBeLessThan(1e-11);
  });

  it("is 0 where delta alone covers the divergence", () => {
    expect(rdpEpsilon([{ sampleRate: 1e-6, noiseMultiplier: 10, steps: 1 }], 0.01).epsilon).toBe(0);
  });

  it("adds up over steps and runs, in any order", () => {
    const run = fc.record({
      sampleRate: fc.double({ min: 1e-5, max: 1, noNaN: true }),
      noiseMultiplier: fc.double({ min: 0.5, max: 20, noNaN: true }),
      steps: fc.integer({ min: 1, max: 1000 }),
    });
    const orders = [1.5, 4, 32];
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 4 }), (runs) => {
        const total = composedRdp(runs, orders);
        const split = runs.flatMap((r) =>
          r.steps > 1
            ? [
                { ...r, steps: 1 },
                { ...r, steps: r.steps - 1 },
              ]
            : [r],
        );
        for (const [i, value] of composedRdp(split.toReversed(), orders).entries()) {
          expect(relative(value, total[i]!)).toBeLessThan(1e-12);
        }
        expect(rdpEpsilon(runs, 1e-5).epsilon).toBeLessThanOrEqual(
          runs.reduce((sum, r) => sum + rdpEpsilon([r], 1e-5 / runs.length).epsilon, 0) * (1 + 1e-12) + 1e-12,
        );
      }),
      { numRuns: 50, seed: 2 },
    );
  });
});

describe("delta", () => {
  it.each(cases.delta_for_epsilon!.rows)(
    "at epsilon $epsilon is between the truth and dp_accounting's bound",
    (row) => {
      const delta = rdpDelta([runOf(row)], row.epsilon);
      expect(delta).toBeLessThanOrEqual(row.delta_rdp * (1 + 1e-9));
      expect(delta).toBeGreaterThan(row.delta_pld_pessimistic_fine * (1 - 1e-6));
    },
  );
});
