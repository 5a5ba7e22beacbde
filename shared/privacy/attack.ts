import { gaussianNoise } from "./gaussian.ts";

/**
 * μ of the Gaussian mechanism that has exactly this (ε, δ): the guarantee as one number of Gaussian differential privacy
 * (Dong, Roth and Su 2022), by which guarantees with different δ can be compared. It is of this one point, not of the whole curve.
 */
export function gdpMu(epsilon: number, delta: number): number {
  return 1 / gaussianNoise(epsilon, delta);
}

/**
 * The highest true-positive rate that any membership test can have at a false-positive rate, if (ε, δ) holds:
 * min(e^ε·FPR + δ, 1 − e^−ε(1 − δ − FPR)) (Kairouz, Oh and Viswanath 2015, Theorem 2.1).
 * @param delta for removing a record
 * @param adding δ for adding one, where it is another
 */
export function highestTruePositiveRate(
  epsilon: number,
  delta: number,
  falsePositiveRate: number,
  adding = delta,
): number {
  const steep = Math.exp(epsilon) * falsePositiveRate + delta;
  const flat = 1 - Math.exp(-epsilon) * (1 - adding - falsePositiveRate);
  return Math.min(1, steep, flat);
}
