import type { Mixture } from "./dominating-pair.ts";
import { normalCdf } from "./normal.ts";
import { ROUNDOFF, tailError, UNDERFLOW } from "./rounding.ts";

/** Probabilities and, one for each, how far rounding can have moved it. */
export interface Masses {
  readonly mass: Float64Array;
  readonly error: Float64Array;
}

/** Intervals at most this wide, in units of σ and of σ²/|distance|, are integrated by their series; wider ones are a difference of tails. */
const NARROW = 1 / 4;
/** Terms of the series; what is left out is below 4 roundoffs. */
const SERIES_TERMS = 12;

/**
 * The probabilities of the intervals between ascending outcomes under a mixture, which may end at ±∞. The outcomes are taken as they are: they are no
 * rounded values of others.
 */
export function massesBetween(
  { weights, means, weightError }: Mixture,
  sigma: number,
  outcomes: ArrayLike<number>,
): Masses {
  const count = Math.max(0, outcomes.length - 1);
  const masses = { mass: new Float64Array(count), error: new Float64Array(count).fill(UNDERFLOW) };
  for (let component = 0; component < means.length; component++) {
    addComponent(masses, weights[component]!, means[component]!, sigma, outcomes);
  }
  for (let i = 0; i < count; i++) masses.error[i]! += masses.mass[i]! * (weightError + means.length * ROUNDOFF);
  return masses;
}

function addComponent(masses: Masses, weight: number, mean: number, sigma: number, outcomes: ArrayLike<number>): void {
  const { mass, error } = masses;
  // The tail beyond the interval's lower end, while it is known: most intervals are narrow and need none.
  let tailBefore = Number.NaN;
  for (let i = 0; i < mass.length; i++) {
    const [low, high] = [outcomes[i]!, outcomes[i + 1]!];
    const [a, b] = [(low - mean) / sigma, (high - mean) / sigma];
    const width = (high - low) / sigma;
    const furthest = Math.max(Math.abs(a), Math.abs(b));
    if (width * Math.max(1, furthest) <= NARROW) {
      const part = weight * narrowMass((a + b) / 2, width / 2);
      mass[i]! += part;
      // φ of a middle that errs by 3 roundoffs of the further end: 3z², its exponent's rounding z²/2; the rest is arithmetic and the series' end.
      error[i]! += part * (4 * furthest * furthest + 64) * ROUNDOFF;
      tailBefore = Number.NaN;
      continue;
    }
    const tailA = Number.isNaN(tailBefore) ? normalCdf(-Math.abs(a)) : tailBefore;
    const tailB = normalCdf(-Math.abs(b));
    mass[i]! += weight * (a > 0 ? tailA - tailB : b <= 0 ? tailB - tailA : 1 - tailA - tailB);
    error[i]! += weight * (tailA * errorAt(a) + tailB * errorAt(b) + (a <= 0 && b > 0 ? 4 * ROUNDOFF : 0));
    tailBefore = tailB;
  }
}

const errorAt = (z: number) => (Number.isFinite(z) ? tailError(z) : 0);

/**
 * ∫ φ(t) dt from m − a to m + a: φ(m)·2a·Σ He₂ₖ(m) a²ᵏ/(2k + 1)!, from the generating function e^(mt − t²/2) = Σ Heₙ(m) tⁿ/n! of Hermite's
 * polynomials, whose odd terms cancel. |Heₙ(m)| aⁿ/n! is at most the coefficient of tⁿ in e^(|m|at + a²t²/2); with |m|a and a at most 1/8 those from
 * n = 12 on, over n + 1, add up to less than 4 roundoffs.
 */
function narrowMass(m: number, a: number): number {
  let [before, term] = [0, 1];
  let sum = 0;
  for (let n = 0; n < SERIES_TERMS; n++) {
    if (n % 2 === 0) sum += term / (n + 1);
    [before, term] = [term, (m * a * term - a * a * before) / (n + 1)];
  }
  return (Math.exp((-m * m) / 2) / Math.sqrt(2 * Math.PI)) * 2 * a * sum;
}

/** P(low < x ≤ high) under a mixture, and how far rounding can have moved it. */
export function massBetween(
  mixture: Mixture,
  sigma: number,
  low: number,
  high: number,
): { mass: number; error: number } {
  const { mass, error } = massesBetween(mixture, sigma, [low, high]);
  return { mass: mass[0]!, error: error[0]! };
}
