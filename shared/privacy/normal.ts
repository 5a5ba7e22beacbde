/**
 * The normal distribution's tails to nearly machine precision, relative, however far out. Everything else in this
 * folder that needs Φ takes it from here.
 */

const SQRT_PI = Math.sqrt(Math.PI);
/** Below, the power series of erf is used; above, the trapezoidal sum. */
const SERIES_END = 1;
/** Step of the trapezoidal sum; its error is e^(-π²/h²) = 7e-18. */
const STEP = 0.5;
/** e^(-n²h²) for n = 1, 2, …; the 13th is 5e-19. */
const WEIGHTS = Array.from({ length: 13 }, (_, i) => Math.exp(-(((i + 1) * STEP) ** 2)));

/** e^(x²)·erf(x) by its series of positive terms, 2/√π · Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6). */
function scaledErf(x: number): number {
  let term = x;
  let sum = 0;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 1);
  }
  return (2 / SQRT_PI) * sum;
}

/**
 * e^(x²)·erfc(x) for x ≥ 0. From 1 on by the trapezoidal rule for its integral
 * (2x/π)∫₀^∞ e^(-t²)/(t² + x²) dt with the pole's residue (Chiarella and Reichel 1968, eq. 5).
 */
function erfcx(x: number): number {
  if (x === Number.POSITIVE_INFINITY) return 0;
  if (x < SERIES_END) return Math.exp(x * x) - scaledErf(x);
  let sum = 1 / (2 * x * x);
  for (let n = 1; n <= WEIGHTS.length; n++) sum += WEIGHTS[n - 1]! / ((n * STEP) ** 2 + x * x);
  const residue = x < Math.PI / STEP ? (2 * Math.exp(x * x)) / Math.expm1((2 * Math.PI * x) / STEP) : 0;
  return ((2 * STEP * x) / Math.PI) * sum - residue;
}

/** (1 − Φ(x)) / φ(x), the Mills ratio; grows as √(2π) e^(x²/2) for negative x. */
export function millsRatio(x: number): number {
  const y = Math.abs(x) * Math.SQRT1_2;
  const upper = erfcx(y);
  return Math.sqrt(Math.PI / 2) * (x >= 0 ? upper : 2 * Math.exp(y * y) - upper);
}

/** Φ(x): the probability that a standard normal number is at most x; relative error below 1e-14 in either tail. */
export function normalCdf(x: number): number {
  const tail = (erfcx(Math.abs(x) * Math.SQRT1_2) / 2) * Math.exp((-x * x) / 2);
  return x <= 0 ? tail : 1 - tail;
}
