import type { OutcomeRange } from "./loss-table.ts";
import { type GaussianPair, logDensity, lossAt, massBetween } from "./pair.ts";

/** A pair of output distributions, the range of outcomes that counts, and how often it is composed with itself. */
export interface RepeatedPair {
  readonly pair: GaussianPair;
  readonly range: OutcomeRange;
  readonly steps: number;
}

/** A tilt λ and where it puts the composed loss. */
export interface Tilt {
  readonly tilt: number;
  /** Mean and standard deviation of the composed loss under the tilt. */
  readonly mean: number;
  readonly deviation: number;
  /** log E[e^(λL)]. */
  readonly log: number;
}

/** The search for λ: from the smallest one in doublings, then by bisection. */
const SMALLEST_TILT = 1e-6;
const LARGEST_TILT = 1e6;
const BISECTIONS = 12;

/**
 * The λ whose tilted mean is about the ε of a δ: the saddle point (Alghamdi et al. 2023, "The saddle-point method in
 * differential privacy"), where log δ ≈ log E[e^(λ(L − ε))] − log(λ(1 + λ)√(2π)·deviation) with ε the mean.
 */
export function tiltForDelta(pairs: readonly RepeatedPair[], delta: number): Tilt {
  return firstTilt(pairs, ({ tilt, log, mean, deviation }) => {
    const logDelta = log - tilt * mean - Math.log(tilt * (1 + tilt) * Math.sqrt(2 * Math.PI) * deviation);
    return logDelta <= Math.log(delta);
  });
}

/** The λ whose tilted mean is an ε: there E[e^(λ(L − ε))] is least. */
export function tiltForEpsilon(pairs: readonly RepeatedPair[], epsilon: number): Tilt {
  return firstTilt(pairs, ({ mean }) => mean >= epsilon);
}

function firstTilt(pairs: readonly RepeatedPair[], enough: (tilt: Tilt) => boolean): Tilt {
  let low = tiltedMoments(pairs, SMALLEST_TILT);
  let high = low;
  while (!enough(high) && high.tilt < LARGEST_TILT) {
    low = high;
    high = tiltedMoments(pairs, high.tilt * 2);
  }
  for (let i = 0; i < BISECTIONS && low.tilt < high.tilt; i++) {
    const middle = tiltedMoments(pairs, Math.sqrt(low.tilt * high.tilt));
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return low;
}

function tiltedMoments(pairs: readonly RepeatedPair[], tilt: number): Tilt {
  let [log, mean, variance] = [0, 0, 0];
  for (const { pair, range, steps } of pairs) {
    const moments = lossMoments(pair, range, tilt);
    log += steps * moments.log;
    mean += steps * moments.mean;
    variance += steps * moments.variance;
  }
  return { tilt, log, mean, deviation: Math.sqrt(variance) };
}

/** Share of the tilted distribution of one step that is not worth a place in its table. */
const TRIMMED_SHARE = 1e-20;

/**
 * Raises the low end of the range to where the tilted distribution begins. An upper table puts what lies below at the end itself,
 * a lower one drops it: the bounds stay valid.
 */
export function trimLow({ pair, range, steps }: RepeatedPair, tilt: number): RepeatedPair {
  const threshold = Math.log(TRIMMED_SHARE) + lossMoments(pair, range, tilt).log;
  const tooMuchBelow = (x: number) =>
    Math.log(massBetween(pair.p, pair.sigma, Number.NEGATIVE_INFINITY, x)) + tilt * lossAt(pair, x) > threshold;
  let low = range.low;
  while (low + pair.sigma < range.high && !tooMuchBelow(low + pair.sigma / 8)) low += pair.sigma / 8;
  return { pair, steps, range: { ...range, low } };
}

/** Nodes a standard deviation; the figures only choose tilts and grids, no bound rests on them. */
const NODES = 3;

/** log E_P[e^(λL)], and mean and variance of L under the tilted P, by the trapezoidal rule over the range. */
function lossMoments(pair: GaussianPair, { low, high }: OutcomeRange, tilt: number) {
  const step = Math.min(pair.sigma, pair.sigma ** 2) / NODES;
  const losses: number[] = [];
  const logs: number[] = [];
  let max = Number.NEGATIVE_INFINITY;
  for (let x = low; x <= high; x += step) {
    const loss = lossAt(pair, x);
    const log = logDensity(pair, x) + tilt * loss;
    losses.push(loss);
    logs.push(log);
    max = Math.max(max, log);
  }
  const weights = logs.map((log) => Math.exp(log - max));
  const total = weights.reduce((a, b) => a + b, 0);
  const mean = weights.reduce((sum, w, i) => sum + w * losses[i]!, 0) / total;
  const variance = weights.reduce((sum, w, i) => sum + w * (losses[i]! - mean) ** 2, 0) / total;
  return { log: max + Math.log(total * step), mean, variance };
}
