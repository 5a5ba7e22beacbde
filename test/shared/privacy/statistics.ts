import { normalCdf } from "../../../shared/privacy/normal.ts";

/** Probability of a χ² at least as large as that of counts against expected counts (Wilson and Hilferty 1931). */
export function chiSquareTail(counts: ArrayLike<number>, expected: ArrayLike<number>): number {
  const square = Array.from(counts, (count, i) => (count - expected[i]!) ** 2 / expected[i]!).reduce((a, b) => a + b);
  const freedom = counts.length - 1;
  const spread = 2 / (9 * freedom);
  return normalCdf(-(Math.cbrt(square / freedom) - 1 + spread) / Math.sqrt(spread));
}

/** Probability of a Kolmogorov-Smirnov distance at least as large as that of a sample from N(0, 1). */
export function normalKsTail(sample: Float64Array): number {
  const sorted = sample.toSorted();
  const n = sorted.length;
  let distance = 0;
  for (const [i, x] of sorted.entries()) {
    const p = normalCdf(x);
    distance = Math.max(distance, (i + 1) / n - p, p - i / n);
  }
  let tail = 0;
  for (let k = 1; k < 100; k++) tail += 2 * (-1) ** (k - 1) * Math.exp(-2 * k * k * n * distance * distance);
  return Math.min(1, tail);
}
