import { composedRdp, DEFAULT_ORDERS, deltaFromRdp, epsilonFromRdp } from "./rdp.ts";
import type { GaussianRun } from "./run.ts";
import { smallestThat } from "./solve.ts";

/**
 * How the number of runs of a search is drawn: logarithmic and geometric are the truncated negative binomial distribution with
 * η = 0 and η = 1 (Papernot and Steinke 2022, Definition 1), which give at least one run; with Poisson there may be none.
 */
export const REPETITIONS = ["logarithmic", "geometric", "poisson"] as const;
export type Repetitions = (typeof REPETITIONS)[number];

/** The random number of runs of a search. */
export interface Search {
  /** Runs on average, ≥ 1. */
  readonly mean: number;
  readonly trials: Repetitions;
}

/**
 * ε of a hyper-parameter search that repeats a private run a random number of times and releases only the best result (Papernot
 * and Steinke 2022, "Hyperparameter tuning with Rényi differential privacy"). The number is drawn before the first run and told to nobody;
 * every run's hyper-parameters are drawn at random.
 * @param run what one trial does
 */
export function repeatAndSelectEpsilon(run: GaussianRun, search: Search, delta: number): number {
  const rdp = composedRdp([run], DEFAULT_ORDERS);
  const searched = search.trials === "poisson" ? poissonSearch(rdp, search.mean) : negativeBinomial(rdp, search);
  return epsilonFromRdp(DEFAULT_ORDERS, searched, delta).epsilon;
}

/**
 * Theorem 2: order λ costs ε(λ) + (1 + η)(1 − 1/λ̂)ε(λ̂) + (1 + η)·ln(1/γ)/λ̂ + ln(mean)/(λ − 1), with any order λ̂, which
 * may be chosen once for all.
 */
function negativeBinomial(rdp: readonly number[], { mean, trials }: Search): number[] {
  const eta = trials === "logarithmic" ? 0 : 1;
  const logInverse = -Math.log(eta === 1 ? 1 / mean : logarithmicGamma(mean));
  const extra = Math.min(...DEFAULT_ORDERS.map((order, i) => (1 - 1 / order) * rdp[i]! + logInverse / order));
  return DEFAULT_ORDERS.map((order, i) => rdp[i]! + (1 + eta) * extra + Math.log(mean) / (order - 1));
}

/** Theorem 6: order λ costs ε(λ) + mean·δ̂ + ln(mean)/(λ − 1), where one run is (ln(1 + 1/(λ − 1)), δ̂)-private. */
function poissonSearch(rdp: readonly number[], mean: number): number[] {
  return DEFAULT_ORDERS.map((order, i) => {
    const deltaHat = deltaFromRdp(DEFAULT_ORDERS, rdp, Math.log1p(1 / (order - 1)));
    return rdp[i]! + mean * deltaHat + Math.log(mean) / (order - 1);
  });
}

/** The γ of the logarithmic distribution with a mean of (1/γ − 1)/ln(1/γ) ≥ 1, rounded down: a smaller one costs more. */
function logarithmicGamma(mean: number): number {
  if (mean === 1) return 1;
  // With x = ln(1/γ) the mean (e^x − 1)/x grows from 1 and is above any number below 1e6 at x = 20.
  return Math.exp(-smallestThat((x) => Math.expm1(x) >= mean * x, 0, 20));
}
