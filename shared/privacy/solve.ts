/** A number that is known to lie between two bounds. */
export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

/**
 * The smallest number in (low, high] that satisfies a monotone predicate, by bisection down to `tolerance` (relative)
 * or to neighbouring numbers. What is returned always satisfies it: a search keeps the promise.
 * @param high satisfies the predicate
 */
export function smallestThat(holds: (x: number) => boolean, low: number, high: number, tolerance = 0): number {
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high || high - low <= tolerance * Math.abs(high)) return high;
    if (holds(middle)) high = middle;
    else low = middle;
  }
}

/** As {@link smallestThat} over (0, ∞), doubling from `start` to find the upper end; Infinity if nothing below 2^1000 holds. */
export function smallestPositiveThat(holds: (x: number) => boolean, start = 1, tolerance = 0): number {
  let high = start;
  while (!holds(high)) {
    high *= 2;
    if (high > 2 ** 1000) return Number.POSITIVE_INFINITY;
  }
  return smallestThat(holds, high > start ? high / 2 : 0, high, tolerance);
}
