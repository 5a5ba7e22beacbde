/** log(n!) − log(√(2πn)·(n/e)ⁿ), what Stirling's formula leaves out, to 1e-15; 0 for n = 0. */
function stirlingError(n: number): number {
  if (n < 16) {
    let log = 0;
    for (let i = 2; i <= n; i++) log += Math.log(i);
    return n === 0 ? 0 : log - (n + 0.5) * Math.log(n) + n - Math.log(2 * Math.PI) / 2;
  }
  const square = n * n;
  return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n;
}

/** x·log(x/m) + m − x ≥ 0, without cancellation where x is near m. */
function deviance(x: number, mean: number): number {
  const v = (x - mean) / (x + mean);
  if (Math.abs(v) > 0.1) return x * Math.log(x / mean) + mean - x;
  // log(x/m) = 2·(v + v³/3 + …)
  let sum = (x - mean) * v;
  let term = 2 * x * v;
  for (let i = 3; ; i += 2) {
    term *= v * v;
    const next = sum + term / i;
    if (next === sum) return sum;
    sum = next;
  }
}

/** P[Binomial(n, p) = k] for 0 < p < 1, to about 1e-14 relative (Loader 2000, "Fast and accurate computation of binomial probabilities"). */
function binomialMass(n: number, p: number, k: number): number {
  if (k === 0) return Math.exp(n * Math.log1p(-p));
  if (k === n) return p ** n;
  const log =
    stirlingError(n) - stirlingError(k) - stirlingError(n - k) - deviance(k, n * p) - deviance(n - k, n * (1 - p));
  return Math.sqrt(n / (2 * Math.PI * k * (n - k))) * Math.exp(log);
}

/**
 * P[Binomial(n, p) = i] for i = 0, …, n.
 * @param logHit log p
 * @param logMiss log(1 − p)
 */
export function binomialMasses(n: number, logHit: number, logMiss: number): number[] {
  let logChoose = 0;
  return Array.from({ length: n + 1 }, (_, i) => {
    if (i > 0) logChoose += Math.log((n - i + 1) / i);
    return Math.exp(logChoose + i * logHit + (n - i) * logMiss);
  });
}

/**
 * P[Binomial(n, p) ≥ k], for 0 < p < 1: summed from k away from the mean, so small tails keep their relative precision
 * (about 1e-13), down to 1e-300.
 */
export function binomialTail(n: number, p: number, k: number): number {
  if (k <= 0) return 1;
  if (k > n) return 0;
  const odds = p / (1 - p);
  const upwards = k > n * p;
  let term = binomialMass(n, p, upwards ? k : k - 1);
  let sum = 0;
  for (let i = upwards ? k : k - 1; term > sum * 1e-17; i += upwards ? 1 : -1) {
    sum += term;
    term *= upwards ? ((n - i) / (i + 1)) * odds : i / (n - i + 1) / odds;
  }
  return upwards ? sum : 1 - sum;
}
