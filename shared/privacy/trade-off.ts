import { highestTruePositiveRate } from "./attack.ts";
import type { GaussianRun } from "./run.ts";
import { emptyComposition, runningDeltas, withRun } from "./running-composition.ts";

/** A guarantee with the run behind it. */
export interface RunGuarantee extends GaussianRun {
  readonly epsilon: number;
  readonly delta: number;
}

/** Points of δ(ε) that are looked at. Any of them gives a valid bound; between so many the best one is missed by less than 0.1 % of the rate. */
const POINTS = 512;

/**
 * The highest true-positive rate that any membership test of one unit can have at false-positive rates, by the whole curve δ(ε) of the run and
 * not by one point of it: the least, over ε ≥ 0, of e^ε·FPR + δ₁(ε) and 1 − e^−ε(1 − δ₂(ε) − FPR), with δ₁ for removing the unit and δ₂ for adding
 * it (Dong, Roth and Su 2022, Proposition 2.13: the trade-off function is the convex conjugate of δ). An upper bound, as δ(ε) is one, and never above
 * what (ε, δ) alone give.
 */
export function highestTruePositiveRates(run: RunGuarantee, falsePositiveRates: readonly number[]): number[] {
  const composition = withRun(emptyComposition(), run);
  const best = falsePositiveRates.map((rate) => highestTruePositiveRate(run.epsilon, run.delta, rate));
  for (let point = 0; point <= POINTS; point++) {
    const epsilon = (point * run.epsilon) / POINTS;
    const [removing, adding] = runningDeltas(composition, epsilon) as [number, number];
    for (const [i, rate] of falsePositiveRates.entries()) {
      best[i] = Math.min(best[i]!, highestTruePositiveRate(epsilon, removing, rate, adding));
    }
  }
  return best;
}
