import { binomialMasses } from "./binomial.ts";
import { ROUNDOFF } from "./rounding.ts";

/** A mixture of normal distributions with one standard deviation: `weights[i]` of mean `means[i]`; the weights add up to 1. */
export interface Mixture {
  readonly weights: readonly number[];
  readonly means: readonly number[];
  /** How far rounding can have moved a weight, relative. */
  readonly weightError: number;
}

/**
 * The two output distributions of one step that neighbouring data sets give in the worst case, projected on the line through
 * their means. They are ordered so that the privacy loss L(x) = log(p(x)/q(x)) grows with x.
 */
export interface GaussianPair {
  readonly sigma: number;
  readonly p: Mixture;
  readonly q: Mixture;
}

/** N(0, σ²) as a mixture. */
const STILL: Mixture = { weights: [1], means: [0], weightError: 0 };

/** One of the cases that a step may come to, with its probability; the observer is taken to know which one it was. */
export interface Branch {
  readonly weight: number;
  readonly pair: GaussianPair;
}

/** A step that has no other case. */
export const always = (pair: GaussianPair): readonly Branch[] => [{ weight: 1, pair }];

export const NEIGHBOURING = ["add-or-remove-one", "replace-one"] as const;
export type Neighbouring = (typeof NEIGHBOURING)[number];

/**
 * The dominating pairs of one Poisson-subsampled Gaussian step with sensitivity 1, one a direction (Zhu, Dong and
 * Wang 2022, section 3). For add-or-remove: a record is removed, or added; their compositions must be bounded separately. For
 * replace-one the record's vector turns into its opposite, a change of 2, in either direction alike.
 */
export function neighbouringPairs(
  sampleRate: number,
  noiseMultiplier: number,
  neighbouring: Neighbouring,
): readonly GaussianPair[] {
  const moved = (by: number): Mixture => ({
    weights: [1 - sampleRate, sampleRate],
    means: [0, by],
    weightError: ROUNDOFF,
  });
  const sigma = noiseMultiplier;
  if (neighbouring === "replace-one") return [{ sigma, p: moved(1), q: moved(-1) }];
  return [
    { sigma, p: moved(1), q: STILL },
    { sigma, p: STILL, q: moved(-1) },
  ];
}

/**
 * The dominating pairs of one step for someone who has `group` records, all added or removed together: how many of them are
 * sampled is binomial, and in the worst case their vectors point the same way (the mixture of Gaussians mechanism of Ganesh 2024, arXiv 2401.10294).
 * @param group k ≥ 1; with k = 1 the same as {@link neighbouringPairs} for add-or-remove-one
 */
export function groupPairs(sampleRate: number, noiseMultiplier: number, group: number): readonly GaussianPair[] {
  const logs = [Math.log(sampleRate), Math.log1p(-sampleRate)] as const;
  const weights = binomialMasses(group, ...logs);
  // Of the exponent: up to `group` logarithms of at most log(group) are added up, and `group` times two logarithms with their own error.
  const weightError =
    (4 * group * (group + Math.log(group + 1)) + 8 * group * (Math.abs(logs[0]) + Math.abs(logs[1])) + 16) * ROUNDOFF;
  const moved = (sign: 1 | -1): Mixture => ({ weights, means: weights.map((_, i) => sign * i), weightError });
  const sigma = noiseMultiplier;
  return [
    { sigma, p: moved(1), q: STILL },
    { sigma, p: STILL, q: moved(-1) },
  ];
}

/** log(p(x)/φ_σ(x)), the mixture's density against the centred normal one, exact near 0; and the mean of the component of x. */
function densityRatio({ weights, means }: Mixture, sigma: number, x: number): { log: number; mean: number } {
  let max = 0;
  for (let i = 0; i < means.length; i++) {
    if (weights[i]! > 0) max = Math.max(max, ((2 * x - means[i]!) * means[i]!) / (2 * sigma * sigma));
  }
  let [sum, excess, mean] = [0, 0, 0];
  for (let i = 0; i < means.length; i++) {
    const exponent = ((2 * x - means[i]!) * means[i]!) / (2 * sigma * sigma);
    const scaled = weights[i]! * Math.exp(exponent - max);
    sum += scaled;
    mean += scaled * means[i]!;
    if (max < 1) excess += weights[i]! * Math.expm1(exponent);
  }
  const log = max < 1 && Math.abs(excess) < 0.5 ? Math.log1p(excess) : max + Math.log(sum);
  return { log, mean: mean / sum };
}

/** The privacy loss log(p(x)/q(x)). */
export function lossAt({ sigma, p, q }: GaussianPair, x: number): number {
  return densityRatio(p, sigma, x).log - densityRatio(q, sigma, x).log;
}

/**
 * How far rounding can move {@link lossAt} for outcomes in a range. An exponent has four roundings, so each density's logarithm errs by 4 roundoffs of its
 * largest exponent twice; sums of positive terms and the logarithm add 16, and the weights their own.
 */
export function lossError({ sigma, p, q }: GaussianPair, low: number, high: number): number {
  const exponent = (x: number, mean: number) => Math.abs(((2 * x - mean) * mean) / (2 * sigma * sigma));
  const largest = Math.max(...[...p.means, ...q.means].flatMap((mean) => [exponent(low, mean), exponent(high, mean)]));
  return (16 * largest + 32) * ROUNDOFF + 2 * (p.weightError + q.weightError);
}

/** log p(x). */
export function logDensity({ sigma, p }: GaussianPair, x: number): number {
  return densityRatio(p, sigma, x).log - (x * x) / (2 * sigma * sigma) - Math.log(sigma * Math.sqrt(2 * Math.PI));
}

/** Newton steps before bisection takes over; from a good guess it takes two or three. */
const NEWTON_STEPS = 20;

/**
 * The x in [low, high] with L(x) = loss up to `tolerance`, by Newton steps that are kept inside a shrinking bracket; an end if
 * the loss lies beyond it.
 */
export function outcomeOf(
  { sigma, p, q }: GaussianPair,
  loss: number,
  { low, high, guess, tolerance }: { low: number; high: number; guess: number; tolerance: number },
): number {
  let [left, right, x] = [low, high, Math.min(Math.max(guess, low), high)];
  for (let i = 0; right - left > 4e-16 * (Math.abs(left) + Math.abs(right)); i++) {
    const [above, below] = [densityRatio(p, sigma, x), densityRatio(q, sigma, x)];
    const error = above.log - below.log - loss;
    if (Math.abs(error) <= tolerance) return x;
    if (error < 0) left = x;
    else right = x;
    const next = x - (error * sigma * sigma) / (above.mean - below.mean);
    x = i < NEWTON_STEPS && next > left && next < right ? next : left + (right - left) / 2;
  }
  return x;
}
