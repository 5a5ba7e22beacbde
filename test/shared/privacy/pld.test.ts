import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deltaBounds, epsilonBounds } from "../../../shared/privacy/accountant.ts";
import { noiseFor } from "../../../shared/privacy/calibrate.ts";
import { always, neighbouringPairs } from "../../../shared/privacy/dominating-pair.ts";
import { gaussianEpsilonBounds, oneStepEpsilonBounds } from "../../../shared/privacy/gaussian.ts";
import { lossGrid, outcomeRange } from "../../../shared/privacy/loss-grid.ts";
import { lowerTable, upperTable } from "../../../shared/privacy/loss-table.ts";
import { composedEpsilon, toleranceAt } from "../../../shared/privacy/pld.ts";
import { rdpEpsilon } from "../../../shared/privacy/rdp.ts";
import { cases, runOf } from "./cases.ts";

describe("epsilon by PLD", () => {
  const pinned = cases.rows.filter((row) => row.epsilon_reference !== undefined);
  it.each(pinned)("$id: $group, q = $sampling_rate, sigma = $noise_multiplier, $steps steps", (row) => {
    const { lower, upper } = epsilonBounds([runOf(row)], row.delta);
    const reference = row.epsilon_reference;
    expect(upper).toBeGreaterThanOrEqual(reference * (1 - 1e-6) - 1e-7);
    expect(upper).toBeLessThanOrEqual(reference * 1.001 + 1e-4);
    expect(lower).toBeLessThanOrEqual(reference + row.reference_uncertainty_abs);
    expect(upper - lower).toBeLessThanOrEqual(toleranceAt(upper));
  });

  const bracketed = cases.rows.filter((row) => row.epsilon_reference === undefined);
  it.each(bracketed)("$id: where the libraries only give a bracket", (row) => {
    const { lower, upper } = epsilonBounds([runOf(row)], row.delta);
    expect(upper).toBeGreaterThanOrEqual(row.epsilon_pld_optimistic);
    expect(lower).toBeLessThanOrEqual(row.epsilon_pld_pessimistic);
    expect(lower).toBeLessThanOrEqual(upper);
  });

  it.each(cases.composition!.rows)("composes different runs: $name", (row) => {
    const { lower, upper } = epsilonBounds(row.runs.map(runOf), row.delta);
    expect(upper).toBeGreaterThanOrEqual(row.epsilon_pld_pessimistic_fine * (1 - 2e-5));
    expect(upper).toBeLessThanOrEqual(row.epsilon_pld_pessimistic_fine * 1.001);
    expect(lower).toBeLessThanOrEqual(row.epsilon_pld_pessimistic_fine);
  });

  // Where one rare, large loss decides δ, far from the saddle point of its average: both bounds were once 0 and 1.57, 0 and 0.05.
  it.each([
    [0.3, 1000],
    [0.5, 1000],
    [0.3, 100_000],
  ])("stays tight where sampling is rare: q = 1e-6, sigma = %d, %d steps", (noiseMultiplier, steps) => {
    const run = { sampleRate: 1e-6, noiseMultiplier, steps };
    const { lower, upper } = epsilonBounds([run], 1e-6);
    expect(lower).toBeGreaterThan(0);
    expect(upper - lower).toBeLessThanOrEqual(toleranceAt(upper));
    const once = [{ lower, upper }, epsilonBounds([{ ...run, steps: steps / 10 }], 1e-6)];
    expect(once[1]!.lower).toBeLessThanOrEqual(once[0]!.upper);
  });

  it("composes a resumed run exactly as an uninterrupted one", () => {
    const run = { sampleRate: 0.01, noiseMultiplier: 1, steps: 1000 };
    const parts = [
      { ...run, steps: 400 },
      { ...run, steps: 600 },
    ];
    expect(epsilonBounds(parts, 1e-5)).toEqual(epsilonBounds([run], 1e-5));
  });

  it.each(cases.neighbouring!.rows)("replace-one, q = $sampling_rate, $steps steps", (row) => {
    const { lower, upper } = epsilonBounds([runOf(row)], row.delta, "replace-one");
    expect(upper).toBeGreaterThanOrEqual(row.epsilon_replace_one * (1 - 1e-6));
    expect(upper).toBeLessThanOrEqual(row.epsilon_replace_one * 1.001);
    expect(lower).toBeLessThanOrEqual(row.epsilon_replace_one);
  });

  it.each(cases.neighbouring!.rows.slice(0, 2))("in each direction alone, q = $sampling_rate", (row) => {
    const run = runOf(row);
    const [remove, add] = neighbouringPairs(run.sampleRate, run.noiseMultiplier, "add-or-remove-one").map((pair) =>
      composedEpsilon([{ branches: always(pair), steps: run.steps }], row.delta),
    );
    expect(remove!.lower).toBeLessThanOrEqual(row.epsilon_remove_only);
    expect(remove!.upper).toBeGreaterThanOrEqual(row.epsilon_remove_only * (1 - 1e-6));
    expect(add!.lower).toBeLessThanOrEqual(row.epsilon_add_only);
    expect(add!.upper).toBeGreaterThanOrEqual(row.epsilon_add_only * (1 - 1e-6));
    expect(add!.upper).toBeLessThanOrEqual(row.epsilon_add_only * 1.001);
  });

  it("holds the closed forms between its bounds when it has to compose them", () => {
    const properties = fc.record({
      q: fc.double({ min: 1e-3, max: 0.9, noNaN: true }),
      sigma: fc.double({ min: 0.5, max: 10, noNaN: true }),
      delta: fc.constantFrom(1e-3, 1e-5, 1e-8),
    });
    fc.assert(
      fc.property(properties, ({ q, sigma, delta }) => {
        const [pair] = neighbouringPairs(q, sigma, "add-or-remove-one");
        const bounds = composedEpsilon([{ branches: always(pair!), steps: 1 }], delta);
        const exact = oneStepEpsilonBounds(q, sigma, delta).upper;
        expect(bounds.lower).toBeLessThanOrEqual(exact);
        expect(bounds.upper).toBeGreaterThanOrEqual(exact);
        expect(bounds.upper - bounds.lower).toBeLessThanOrEqual(toleranceAt(bounds.upper));
      }),
      { numRuns: 20, seed: 6 },
    );
    const [pair] = neighbouringPairs(1, 30, "add-or-remove-one");
    const bounds = composedEpsilon([{ branches: always(pair!), steps: 1000 }], 1e-6);
    const exact = gaussianEpsilonBounds(Math.sqrt(1000) / 30, 1e-6).upper;
    expect(bounds.lower).toBeLessThanOrEqual(exact);
    expect(bounds.upper).toBeGreaterThanOrEqual(exact);
  });

  it("is below RDP, grows with steps and rate, falls with noise and delta", () => {
    const properties = fc.record({
      sampleRate: fc.double({ min: 1e-3, max: 0.5, noNaN: true }),
      noiseMultiplier: fc.double({ min: 0.6, max: 5, noNaN: true }),
      steps: fc.integer({ min: 2, max: 500 }),
    });
    fc.assert(
      fc.property(properties, (run) => {
        const at = (change: Partial<typeof run>, delta = 1e-5) => epsilonBounds([{ ...run, ...change }], delta);
        const here = at({});
        expect(here.upper).toBeLessThanOrEqual(rdpEpsilon([run], 1e-5).epsilon);
        expect(at({ steps: run.steps * 2 }).upper).toBeGreaterThanOrEqual(here.lower);
        expect(at({ sampleRate: run.sampleRate * 1.5 }).upper).toBeGreaterThanOrEqual(here.lower);
        expect(at({ noiseMultiplier: run.noiseMultiplier * 1.5 }).lower).toBeLessThanOrEqual(here.upper);
        expect(at({}, 1e-4).lower).toBeLessThanOrEqual(here.upper);
      }),
      { numRuns: 8, seed: 7 },
    );
  });
});

describe("delta by PLD", () => {
  it.each(cases.delta_for_epsilon!.rows)("at epsilon $epsilon, q = $sampling_rate", (row) => {
    const { lower, upper } = deltaBounds([runOf(row)], row.epsilon);
    expect(upper).toBeGreaterThanOrEqual(row.delta_pld_pessimistic_fine * (1 - 1e-6));
    expect(upper).toBeLessThanOrEqual(row.delta_pld_pessimistic_fine * 1.001);
    expect(lower).toBeLessThanOrEqual(row.delta_pld_pessimistic_fine * (1 + 1e-6));
  });
});

describe("tables", () => {
  it.each([
    [0.01, 0.5],
    [0.3, 2],
    [1e-4, 1],
  ])("preserve P and Q, q = %d, sigma = %d", (q, sigma) => {
    for (const pair of neighbouringPairs(q, sigma, "add-or-remove-one")) {
      const range = outcomeRange(pair, 1e-14);
      const grid = lossGrid(pair, 1e-3, range);
      for (const makeTable of [upperTable, lowerTable]) {
        const table = makeTable(pair, grid, range);
        let [p, q] = [table.infinite, 0];
        for (const [i, mass] of table.mass.entries()) {
          expect(mass).toBeGreaterThanOrEqual(0);
          p += mass;
          q += mass * Math.exp(-(table.offset + (table.first + i) * table.step));
        }
        // Rounding is in the masses: an upper table's are too large by it, a lower one's too small.
        const excess = makeTable === upperTable ? p - 1 : 1 - p;
        expect(excess).toBeGreaterThan(-1e-14);
        expect(excess).toBeLessThan(1e-11);
        // A lower table may round a loss down where there is nothing to merge with, which makes Q larger; never up.
        expect(q - 1).toBeGreaterThan(-1e-11);
        expect(q - 1).toBeLessThan(makeTable === upperTable ? 1e-11 : 1e-4);
      }
    }
  });
});

describe("noise by PLD", () => {
  it.each(cases.inverse!.rows)("epsilon $target_epsilon, $steps steps", (row) => {
    const target = { epsilon: row.target_epsilon, delta: row.delta, sampleRate: row.sampling_rate, steps: row.steps };
    const { noiseMultiplier, epsilon } = noiseFor(target, "pld");
    expect(Math.abs(noiseMultiplier / row.sigma_pld - 1)).toBeLessThan(1e-3);
    expect(epsilon).toBeLessThanOrEqual(row.target_epsilon);
  });
});
