import { millsRatio, normalCdf } from "./normal.ts";
import { ROUNDOFF } from "./rounding.ts";
import { type Bounds, smallestPositiveThat } from "./solve.ts";

/** Standard normal density. */
const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/**
 * δ(ε) of the Gaussian mechanism with sensitivity / standard deviation = mu, exactly:
 * Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ) (Balle and Wang 2018, Theorem 8). T releases with noise σ have μ = √T/σ.
 * @param epsilon any real number (below 0 it is still the hockey-stick divergence)
 */
export function gaussianDelta(mu: number, epsilon: number): number {
  if (mu === 0) return Math.max(0, -Math.expm1(epsilon));
  const a = epsilon / mu - mu / 2;
  const b = epsilon / mu + mu / 2;
  // e^ε φ(b) = φ(a): both terms share a density, which keeps small values of δ exact.
  if (a > 0) return density(a) * (millsRatio(a) - millsRatio(b));
  return normalCdf(-a) - (b > 0 ? density(a) * millsRatio(b) : Math.exp(epsilon) * normalCdf(-b));
}

/**
 * How far rounding can move {@link gaussianDelta}. Both of its terms are at most Φ(−a), and each errs relatively by what its tail or Mills ratio does (600
 * roundoffs, see rounding.ts), by its exponents (2a², 4ε), and by (|a| + |b| + 2) times what rounding moves a and b.
 */
function gaussianDeltaError(mu: number, epsilon: number): number {
  const [a, b] = [epsilon / mu - mu / 2, epsilon / mu + mu / 2];
  const moved = 4 * (Math.abs(epsilon) / mu + mu);
  const relative = (Math.abs(a) + Math.abs(b) + 2) * moved + 2 * a * a + 16 * Math.abs(epsilon) + 600;
  return 2 * normalCdf(-a) * relative * ROUNDOFF;
}

/** What is wrong with μ at most, relative, where it comes from σ, steps and a square root. */
const MU_ERROR = 16 * ROUNDOFF;

/** Bounds on {@link gaussianDelta} that hold in spite of rounding, also of a μ that errs by 16 roundoffs. */
export function gaussianDeltaBounds(mu: number, epsilon: number): Bounds {
  const [less, more] = [mu * (1 - MU_ERROR), mu * (1 + MU_ERROR)];
  return {
    lower: Math.max(0, gaussianDelta(less, epsilon) - gaussianDeltaError(less, epsilon)),
    upper: Math.min(1, gaussianDelta(more, epsilon) + gaussianDeltaError(more, epsilon)),
  };
}

/** The smallest ε ≥ 0 of the Gaussian mechanism for a δ (Balle and Wang 2018, Algorithm 1), between bounds that hold in spite of rounding. */
export function gaussianEpsilonBounds(mu: number, delta: number): Bounds {
  return epsilonBoundsOf((epsilon) => gaussianDeltaBounds(mu, epsilon), delta);
}

/** The smallest noise multiplier with which one Gaussian release is (ε, δ)-private; T releases need √T times as much. */
export function gaussianNoise(epsilon: number, delta: number): number {
  return smallestPositiveThat((sigma) => gaussianDeltaBounds(1 / sigma, epsilon).upper <= delta);
}

/**
 * δ(ε) of *one* step of the Poisson-subsampled Gaussian in closed form, for add-or-remove-one neighbours: removing gives
 * q·δ_G(ln((e^ε − 1 + q)/q)), adding c·δ_G(ln(q e^ε/c)) with c = 1 − (1 − q)e^ε, or 0 where c ≤ 0; the larger one counts.
 * They are the two hockey-stick integrals of (1 − q)N(0, σ²) + qN(1, σ²) against N(0, σ²), written with those of N(1, σ²).
 * c is a difference, so it is bounded first: what is added grows with it.
 */
export function oneStepDeltaBounds(sampleRate: number, noiseMultiplier: number, epsilon: number): Bounds {
  const q = sampleRate;
  const mu = 1 / noiseMultiplier;
  const remove = gaussianDeltaBounds(mu, epsilon + Math.log1p(((1 - q) * -Math.expm1(-epsilon)) / q));
  const rest = (1 - q) * Math.exp(epsilon);
  const unsure = (4 + rest * (8 + 2 * epsilon)) * ROUNDOFF;
  const add = (side: keyof Bounds, c: number) =>
    c > 0 ? c * gaussianDeltaBounds(mu, epsilon + Math.log(q / c))[side] : 0;
  return {
    lower: Math.max(q * remove.lower, add("lower", 1 - rest - unsure)) * (1 - 8 * ROUNDOFF),
    upper: Math.max(q * remove.upper, add("upper", 1 - rest + unsure)) * (1 + 8 * ROUNDOFF),
  };
}

/** The smallest ε ≥ 0 of one step for a δ; see {@link oneStepDeltaBounds}. */
export function oneStepEpsilonBounds(sampleRate: number, noiseMultiplier: number, delta: number): Bounds {
  return epsilonBoundsOf((epsilon) => oneStepDeltaBounds(sampleRate, noiseMultiplier, epsilon), delta);
}

/** A search keeps its promise: δ at the upper ε is at most what is asked, and the number before the lower one is not enough. */
function epsilonBoundsOf(boundsAt: (epsilon: number) => Bounds, delta: number): Bounds {
  const smallest = (side: keyof Bounds) =>
    boundsAt(0)[side] <= delta ? 0 : smallestPositiveThat((epsilon) => boundsAt(epsilon)[side] <= delta);
  return { lower: smallest("lower") * (1 - 2 * ROUNDOFF), upper: smallest("upper") };
}
