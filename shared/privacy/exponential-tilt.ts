import { type Branch, type GaussianPair, logDensity, lossAt } from "./dominating-pair.ts";
import { massBetween } from "./interval-mass.ts";
import type { OutcomeRange } from "./loss-grid.ts";

/** A pair with the range of outcomes that counts, and the probability that a step comes to it. */
export interface RangedBranch extends Branch {
  readonly range: OutcomeRange;
}

/** A step's branches, and how often the step is composed with itself. */
export interface RepeatedStep {
  readonly branches: readonly RangedBranch[];
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
export function tiltForDelta(runs: readonly RepeatedStep[], delta: number): Tilt {
  return firstTilt(runs, ({ tilt, log, mean, deviation }) => {
    const logDelta = log - tilt * mean - Math.log(tilt * (1 + tilt) * Math.sqrt(2 * Math.PI) * deviation);
    return logDelta <= Math.log(delta);
  });
}

/** The λ whose tilted mean is an ε: there E[e^(λ(L − ε))] is least. */
export function tiltForEpsilon(runs: readonly RepeatedStep[], epsilon: number): Tilt {
  return firstTilt(runs, ({ mean }) => mean >= epsilon);
}

function firstTilt(runs: readonly RepeatedStep[], enough: (tilt: Tilt) => boolean): Tilt {
  let low = tiltedMoments(runs, SMALLEST_TILT);
  let high = low;
  while (!enough(high) && high.tilt < LARGEST_TILT) {
    low = high;
    high = tiltedMoments(runs, high.tilt * 2);
  }
  for (let i = 0; i < BISECTIONS && low.tilt < high.tilt; i++) {
    const middle = tiltedMoments(runs, Math.sqrt(low.tilt * high.tilt));
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return low;
}

/** Where a tilt puts the composed loss. */
export function tiltedMoments(runs: readonly RepeatedStep[], tilt: number): Tilt {
  let [log, mean, variance] = [0, 0, 0];
  for (const { branches, steps } of runs) {
    const moments = mixedMoments(branches, tilt);
    log += steps * moments.log;
    mean += steps * moments.mean;
    variance += steps * moments.variance;
  }
  return { tilt, log, mean, deviation: Math.sqrt(variance) };
}

/** Share of the tilted distribution of one step that is not worth a place in its table. */
const TRIMMED_SHARE = 1e-20;

/**
 * Runs whose ranges begin where the tilted distribution does. An upper table puts what lies below at the end itself,
 * a lower one without an atom there drops it: the bounds stay valid.
 */
export function trimmed(runs: readonly RepeatedStep[], tilt: number): RepeatedStep[] {
  return runs.map((run) => ({ ...run, branches: run.branches.map((branch) => trimLow(branch, tilt)) }));
}

function trimLow({ weight, pair, range }: RangedBranch, tilt: number): RangedBranch {
  const threshold = Math.log(TRIMMED_SHARE) + lossMoments(pair, range, tilt).log;
  const tooMuchBelow = (x: number) =>
    Math.log(massBetween(pair.p, pair.sigma, Number.NEGATIVE_INFINITY, x).mass) + tilt * lossAt(pair, x) > threshold;
  let low = range.low;
  while (low + pair.sigma < range.high && !tooMuchBelow(low + pair.sigma / 8)) low += pair.sigma / 8;
  return { weight, pair, range: { ...range, low } };
}

/** The moments of one step as {@link lossMoments}, over its branches. */
function mixedMoments(branches: readonly RangedBranch[], tilt: number) {
  const parts = branches.map(({ weight, pair, range }) => {
    const moments = lossMoments(pair, range, tilt);
    return { ...moments, log: moments.log + Math.log(weight) };
  });
  const max = Math.max(...parts.map(({ log }) => log));
  const total = parts.reduce((sum, { log }) => sum + Math.exp(log - max), 0);
  const shares = parts.map(({ log }) => Math.exp(log - max) / total);
  const mean = parts.reduce((sum, part, i) => sum + shares[i]! * part.mean, 0);
  const variance = parts.reduce((sum, part, i) => sum + shares[i]! * (part.variance + (part.mean - mean) ** 2), 0);
  return { log: max + Math.log(total), mean, variance };
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
