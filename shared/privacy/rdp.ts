import type { GaussianRun } from "./run.ts";

/**
 * Rényi differential privacy of the Poisson-subsampled Gaussian (Mironov, Talwar and Zhang 2019), without bounds:
 * whole orders by a sum of positive terms, fractional ones by quadrature, both to about 1e-12.
 */

/**
 * How far an ε or δ by RDP can be off, relative. A moment is a sum of positive terms whose logarithms are below 1e8 and err by some roundoffs of the
 * largest logarithm, which is about the moment's own; the quadrature's steps and ends leave out below 1e-17.
 */
export const RDP_ERROR = 1e-10;

/** The 156 orders of Google's dp_accounting: 1.1, 1.2, …, 10.9, 11, 12, …, 63, 128, 256, 512, 1024. */
export const DEFAULT_ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => 1 + (i + 1) / 10),
  ...Array.from({ length: 53 }, (_, i) => 11 + i),
  ...[128, 256, 512, 1024],
];

/**
 * The Rényi divergence of one step at an order, for add-or-remove-one neighbours: log(A)/(α − 1) with
 * A = E_{x ~ N(0, σ²)} [((1 − q) + q e^((2x − 1)/(2σ²)))^α]. Removing a record is the worse direction
 * (Mironov et al. 2019, section 3.1), so this covers adding too.
 * @param order α > 1
 * @returns 0 for q = 0; α/(2σ²) for q = 1
 */
export function renyiDivergence(sampleRate: number, noiseMultiplier: number, order: number): number {
  if (sampleRate === 0) return 0;
  if (sampleRate === 1) return order / (2 * noiseMultiplier ** 2);
  const logExcess = Number.isInteger(order)
    ? logMomentExcessByBinomial(sampleRate, noiseMultiplier, order)
    : logMomentExcessByQuadrature(sampleRate, noiseMultiplier, order);
  return log1pExp(logExcess) / (order - 1);
}

/**
 * log(A − 1) at a whole order: A − 1 = Σ_{k=2}^α C(α, k) (1 − q)^(α−k) q^k (e^((k² − k)/(2σ²)) − 1), which is the
 * expansion of Mironov et al. 2019, section 3.3, less Σ C(α, k)(1 − q)^(α−k) q^k = 1. All terms are positive, so nothing cancels.
 */
function logMomentExcessByBinomial(q: number, sigma: number, order: number): number {
  const terms: number[] = [];
  let logBinomial = 0;
  for (let k = 1; k <= order; k++) {
    logBinomial += Math.log((order - k + 1) / k);
    if (k === 1) continue;
    const exponent = (k * k - k) / (2 * sigma * sigma);
    terms.push(logBinomial + (order - k) * Math.log1p(-q) + k * Math.log(q) + logExpm1(exponent));
  }
  return logSumExp(terms);
}

/** Quadrature nodes a standard deviation, and the distance (in standard deviations) after which the normal weight is below 1e-18. */
const NODES = 4;
const REACH = 9;

/**
 * log(A − 1) at any order > 1. With t = q(e^((2x − 1)/(2σ²)) − 1), whose mean is 0, A − 1 = E[(1 + t)^α − 1 − αt]: a positive
 * integrand, so nothing cancels. The trapezoidal rule converges exponentially (Trefethen and Weideman 2014, Theorem 5.1): the
 * integrand's nearest branch point is πσ² from the real axis, so a step of min(σ, σ²)/4 leaves an error below e^(-8π²).
 */
function logMomentExcessByQuadrature(q: number, sigma: number, order: number): number {
  const step = Math.min(sigma, sigma * sigma) / NODES;
  const first = Math.floor((-REACH * sigma) / step);
  const last = Math.ceil((order + REACH * sigma) / step);
  const terms: number[] = [];
  for (let i = first; i <= last; i++) {
    const x = i * step;
    terms.push(logConvexExcess(q, (2 * x - 1) / (2 * sigma * sigma), order) - (x * x) / (2 * sigma * sigma));
  }
  return logSumExp(terms) + Math.log(step / (sigma * Math.sqrt(2 * Math.PI)));
}

/** log((1 + t)^α − 1 − αt) for t = q(e^loss − 1), without overflow and without cancellation near t = 0. */
function logConvexExcess(q: number, loss: number, order: number): number {
  const t = q * Math.expm1(loss);
  if (order * Math.log1p(t) > 1) {
    const logT = Math.log(q) + loss + Math.log1p(-Math.exp(-loss));
    const logPower = order * log1pExp(logT);
    return logPower + Math.log1p(-Math.exp(log1pExp(Math.log(order) + logT) - logPower));
  }
  if (Math.abs(t) * order > 0.3) return Math.log(Math.expm1(order * Math.log1p(t)) - order * t);
  // Σ_{k≥2} C(α, k) t^k
  let term = (order * (order - 1) * t * t) / 2;
  let sum = 0;
  for (let k = 2; Math.abs(term) > 1e-17 * Math.abs(sum); k++) {
    sum += term;
    term *= ((order - k) / (k + 1)) * t;
  }
  return Math.log(sum);
}

/** RDP of a composition at each order: it adds up. */
export function composedRdp(runs: readonly GaussianRun[], orders: readonly number[] = DEFAULT_ORDERS): number[] {
  return orders.map((order) =>
    runs.reduce((sum, run) => sum + run.steps * renyiDivergence(run.sampleRate, run.noiseMultiplier, order), 0),
  );
}

/**
 * ε at one order: ε = RDP + log(1 − 1/α) − log(αδ)/(α − 1) (Canonne, Kamath and Steinke 2020, Proposition 12); 0 where
 * already δ ≥ √(1 − e^−RDP), which bounds the total variation (Bretagnolle and Huber 1979).
 */
function epsilonAtOrder(order: number, rdp: number, delta: number): number {
  if (delta * delta + Math.expm1(-rdp) >= 0) return 0;
  return Math.max(0, rdp + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1));
}

/** The best ε over the orders for a composition of runs, and the order that gives it. */
export function rdpEpsilon(
  runs: readonly GaussianRun[],
  delta: number,
  orders: readonly number[] = DEFAULT_ORDERS,
): { epsilon: number; order: number } {
  return epsilonFromRdp(orders, composedRdp(runs, orders), delta);
}

/** As {@link rdpEpsilon} for RDP values that come from elsewhere, one an order. */
export function epsilonFromRdp(
  orders: readonly number[],
  rdp: readonly number[],
  delta: number,
): { epsilon: number; order: number } {
  let best = { epsilon: Number.POSITIVE_INFINITY, order: Number.NaN };
  for (const [i, order] of orders.entries()) {
    const epsilon = epsilonAtOrder(order, rdp[i]!, delta);
    if (epsilon < best.epsilon) best = { epsilon, order };
  }
  return best;
}

/** The smallest δ for an ε ≥ 0 that the orders give; see {@link rdpEpsilon}. */
export function rdpDelta(
  runs: readonly GaussianRun[],
  epsilon: number,
  orders: readonly number[] = DEFAULT_ORDERS,
): number {
  return deltaFromRdp(orders, composedRdp(runs, orders), epsilon);
}

/** As {@link rdpDelta} for RDP values that come from elsewhere, one an order. */
export function deltaFromRdp(orders: readonly number[], rdp: readonly number[], epsilon: number): number {
  let best = 1;
  for (const [i, order] of orders.entries()) {
    const logDelta = (order - 1) * (rdp[i]! - epsilon + Math.log1p(-1 / order)) - Math.log(order);
    best = Math.min(best, Math.exp(logDelta), Math.sqrt(-Math.expm1(-rdp[i]!)));
  }
  return best;
}

function logExpm1(x: number): number {
  return x > 40 ? x + Math.log1p(-Math.exp(-x)) : Math.log(Math.expm1(x));
}

function log1pExp(x: number): number {
  return x > 40 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}

function logSumExp(terms: readonly number[]): number {
  const max = Math.max(...terms);
  return max + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - max), 0));
}
