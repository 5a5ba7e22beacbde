import { millsRatio, normalCdf } from "./normal.ts";
import { smallestPositiveThat } from "./solve.ts";

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
 * The smallest ε ≥ 0 of the Gaussian mechanism for a δ (Balle and Wang 2018, Algorithm 1, by bisection).
 * @param mu sensitivity / standard deviation, √T/σ for T releases
 */
export function gaussianEpsilon(mu: number, delta: number): number {
  return epsilonOf((epsilon) => gaussianDelta(mu, epsilon), delta);
}

/** The smallest noise multiplier with which one Gaussian release is (ε, δ)-private; T releases need √T times as much. */
export function gaussianNoise(epsilon: number, delta: number): number {
  return smallestPositiveThat((sigma) => gaussianDelta(1 / sigma, epsilon) <= delta);
}

/**
 * δ(ε) of *one* step of the Poisson-subsampled Gaussian in closed form, for add-or-remove-one neighbours: removing gives
 * q·δ_G(ln((e^ε − 1 + q)/q)), adding c·δ_G(ln(q e^ε/c)) with c = 1 − (1 − q)e^ε, or 0 where c ≤ 0; the larger one counts.
 * They are the two hockey-stick integrals of (1 − q)N(0, σ²) + qN(1, σ²) against N(0, σ²), written with those of N(1, σ²).
 */
export function oneStepDelta(sampleRate: number, noiseMultiplier: number, epsilon: number): number {
  const q = sampleRate;
  if (q === 0) return 0;
  const mu = 1 / noiseMultiplier;
  const remove = q * gaussianDelta(mu, epsilon + Math.log1p(((1 - q) * -Math.expm1(-epsilon)) / q));
  const c = 1 - (1 - q) * Math.exp(epsilon);
  const add = c > 0 ? c * gaussianDelta(mu, epsilon + Math.log(q / c)) : 0;
  return Math.max(remove, add);
}

/** The smallest ε ≥ 0 of one step for a δ; see {@link oneStepDelta}. */
export function oneStepEpsilon(sampleRate: number, noiseMultiplier: number, delta: number): number {
  return epsilonOf((epsilon) => oneStepDelta(sampleRate, noiseMultiplier, epsilon), delta);
}

function epsilonOf(deltaOf: (epsilon: number) => number, delta: number): number {
  return deltaOf(0) <= delta ? 0 : smallestPositiveThat((epsilon) => deltaOf(epsilon) <= delta);
}
