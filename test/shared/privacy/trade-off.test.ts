import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epsilonOf } from "../../../shared/privacy/accountant.ts";
import { highestTruePositiveRate } from "../../../shared/privacy/attack.ts";
import { highestTruePositiveRates } from "../../../shared/privacy/trade-off.ts";
import golden from "./golden/trade-off.json" with { type: "json" };

const guarantee = (sampleRate: number, noiseMultiplier: number, steps: number, delta: number) => {
  const run = { sampleRate, noiseMultiplier, steps };
  return { ...run, delta, epsilon: epsilonOf([run], delta, "pld") };
};

describe("the highest true-positive rate", () => {
  it("without sampling is the Gaussian mechanism's, Φ(Φ⁻¹(FPR) + μ), here with μ = 1 (Dong, Roth and Su 2022, eq. 6)", () => {
    const exact = [0.01829846840565663, 0.09236224807369403, 0.3891436916453609];
    const rates = highestTruePositiveRates(guarantee(1, 10, 100, 1e-5), [0.001, 0.01, 0.1]);
    rates.forEach((rate, i) => {
      expect(rate).toBeGreaterThanOrEqual(exact[i]! * (1 - 1e-9));
      expect(rate).toBeLessThan(exact[i]! * 1.002);
    });
  });

  it.each(golden.cases)("is the likelihood-ratio test's for q $sampleRate, σ $noiseMultiplier, $steps steps", (run) => {
    const { sampleRate, noiseMultiplier, steps, truePositives, errors } = run;
    const rates = highestTruePositiveRates(guarantee(sampleRate, noiseMultiplier, steps, 1e-4), golden.falsePositives);
    rates.forEach((rate, i) => {
      expect(rate).toBeGreaterThan(truePositives[i]! - 4 * errors[i]!);
      expect(rate).toBeLessThan(truePositives[i]! * 1.01 + 4 * errors[i]!);
    });
  });

  it("is never above what (ε, δ) alone give, nor below blind guessing, and grows with the false positives", () => {
    const run = fc.tuple(
      fc.double({ min: 0.005, max: 0.9, noNaN: true }),
      fc.double({ min: 0.5, max: 6, noNaN: true }),
    );
    fc.assert(
      fc.property(run, fc.integer({ min: 1, max: 300 }), ([q, sigma], steps) => {
        const stated = guarantee(q, sigma, steps, 1e-5);
        const positives = [0.001, 0.01, 0.1];
        const rates = highestTruePositiveRates(stated, positives);
        rates.forEach((rate, i) => {
          expect(rate).toBeLessThanOrEqual(highestTruePositiveRate(stated.epsilon, stated.delta, positives[i]!));
          expect(rate).toBeGreaterThanOrEqual(positives[i]! * (1 - 1e-9));
          if (i > 0) expect(rate).toBeGreaterThanOrEqual(rates[i - 1]!);
        });
      }),
      { numRuns: 8 },
    );
  });
});
