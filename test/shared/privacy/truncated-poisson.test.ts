import { describe, expect, it } from "vitest";
import { epsilonBounds, truncatedEpsilonBounds } from "../../../shared/privacy/accountant.ts";
import { binomialTail } from "../../../shared/privacy/binomial.ts";
import { type GaussianPair, neighbouringPairs } from "../../../shared/privacy/dominating-pair.ts";
import { composedEpsilon } from "../../../shared/privacy/pld.ts";
import { truncatedBranches } from "../../../shared/privacy/truncated-poisson.ts";
import { cases } from "./cases.ts";

describe("binomialTail", () => {
  // mpmath 1.3.0 at 40 digits: the sum of binomial(n, j) p^j (1 - p)^(n - j) over j >= k, with loggamma
  it.each([
    [5451, 64 / 5452, 96, 1.025458341968288e-4],
    [67348, 256 / 67349, 320, 6.209570660180615e-5],
    [9999, 0.01, 100, 0.513098653659006],
    [10, 0.5, 10, 0.0009765625],
    [10, 0.5, 3, 0.9453125],
    [20, 0.1, 15, 9.481303720000008e-12],
    [1e6, 1e-3, 1500, 2.780615425408216e-49],
    [2e9, 1e-6, 2500, 2.949006490540653e-27],
    [100, 0.99, 100, 0.3660323412732292],
    [100, 0.3, 31, 0.4508763992312095],
    [3, 0.5, 0, 1],
    [3, 0.5, 4, 0],
  ])("n = %d, p = %d, k = %d", (n, p, k, value) => {
    expect(Math.abs(binomialTail(n, p, k) - value)).toBeLessThanOrEqual(1e-12 * value);
  });
});

const rows = cases.truncated_poisson!.rows.map((row) => ({
  ...row,
  run: { sampleRate: row.expected_batch / row.dataset_size, noiseMultiplier: row.noise_multiplier, steps: row.steps },
  truncation: { records: row.dataset_size, largestBatch: row.truncated_batch_size },
  delta: row.delta as number,
  reference: row.epsilon_truncated_pld as number,
}));

describe("truncated Poisson sampling", () => {
  /** dp_accounting takes the pair of replaced records where a batch is cut, which serves every relation and is a little worse. */
  const asDpAccounting = (pair: GaussianPair, sigma: number): GaussianPair => {
    if (pair.sigma === sigma) return pair;
    const rate = pair.p.weights[1] ?? pair.q.weights[1]!;
    return neighbouringPairs(rate, pair.sigma, "replace-one")[0]!;
  };

  it.each(rows)("is dp_accounting's with its pairs: at most $truncated_batch_size of $dataset_size", (row) => {
    const { noiseMultiplier, sampleRate, steps } = row.run;
    const bounds = truncatedBranches(sampleRate, noiseMultiplier, row.truncation).map((cases) => {
      const branches = cases.map(({ weight, pair }) => ({ weight, pair: asDpAccounting(pair, noiseMultiplier) }));
      return composedEpsilon([{ branches, steps }], row.delta);
    });
    const { reference } = row;
    expect(Math.max(...bounds.map(({ upper }) => upper))).toBeGreaterThanOrEqual(reference * (1 - 1e-5));
    expect(Math.max(...bounds.map(({ upper }) => upper))).toBeLessThanOrEqual(reference * 1.001);
    expect(Math.max(...bounds.map(({ lower }) => lower))).toBeLessThanOrEqual(reference);
  });

  it.each(rows)("costs more than no truncation, less than dp_accounting says: $truncated_batch_size", (row) => {
    const { lower, upper } = truncatedEpsilonBounds(row.run, row.truncation, row.delta);
    expect(lower).toBeGreaterThan(epsilonBounds([row.run], row.delta).upper);
    expect(upper).toBeLessThanOrEqual(row.reference);
  });

  it("is below the simple bound δ + steps·(1 + e^ε)·P[truncation] where that says anything (Chua et al. 2024)", () => {
    const run = { sampleRate: 0.01, noiseMultiplier: 1, steps: 100 };
    const [records, largestBatch, delta] = [10_000, 160, 1e-5];
    const { upper } = truncatedEpsilonBounds(run, { records, largestBatch }, delta);
    const cut = run.steps * binomialTail(records, run.sampleRate, largestBatch + 1);
    const loose = epsilonBounds([run], delta - cut * (1 + Math.exp(upper))).upper;
    expect(upper).toBeLessThanOrEqual(loose * 1.001);
    expect(upper).toBeGreaterThanOrEqual(epsilonBounds([run], delta).lower);
  });

  it("changes nothing where no batch can be cut, and without sampling replaces a record", () => {
    const run = { sampleRate: 0.5, noiseMultiplier: 2, steps: 10 };
    expect(truncatedEpsilonBounds(run, { records: 20, largestBatch: 20 }, 1e-5)).toEqual(epsilonBounds([run], 1e-5));
    const full = { ...run, sampleRate: 1 };
    const [branch] = truncatedBranches(1, 2, { records: 20, largestBatch: 5 })[0]!;
    expect(branch!.pair.sigma).toBe(1);
    // A little above 1/4: what rounding may have taken is added.
    const [without, within] = branch!.pair.p.weights as readonly [number, number];
    expect(without + within).toBe(1);
    expect(within).toBeGreaterThanOrEqual(0.25);
    expect(within).toBeLessThan(0.25 + 1e-11);
    expect(truncatedEpsilonBounds(full, { records: 20, largestBatch: 20 }, 1e-5).upper).toBeCloseTo(
      epsilonBounds([full], 1e-5).upper,
      2,
    );
  });
});
