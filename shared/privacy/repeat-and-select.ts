import { composedRdp, DEFAULT_ORDERS, epsilonFromRdp } from "./rdp.ts";
import type { GaussianRun } from "./run.ts";

/**
 * ε of a hyper-parameter search that repeats a private run a random number of times and releases only the best result: the
 * number of runs is geometric with a mean (drawn before the first run, told to nobody), every run's hyper-parameters are drawn at random.
 * By Papernot and Steinke 2022, Theorem 2 with η = 1 and γ = 1/mean, the search at order λ costs
 * ε(λ) + 2(1 − 1/λ̂)ε(λ̂) + 2·ln(1/γ)/λ̂ + ln(mean)/(λ − 1), for any order λ̂.
 * @param run what one trial does
 * @param meanTrials ≥ 1
 */
export function repeatAndSelectEpsilon(run: GaussianRun, meanTrials: number, delta: number): number {
  const rdp = composedRdp([run], DEFAULT_ORDERS);
  const log = Math.log(meanTrials);
  const extra = Math.min(...DEFAULT_ORDERS.map((order, i) => 2 * (1 - 1 / order) * rdp[i]! + (2 * log) / order));
  const searched = DEFAULT_ORDERS.map((order, i) => rdp[i]! + extra + log / (order - 1));
  return epsilonFromRdp(DEFAULT_ORDERS, searched, delta).epsilon;
}
