import { rdpDelta, rdpEpsilon } from "./rdp.ts";
import type { GaussianRun } from "./run.ts";

/** The accountants by name: `rdp` is Rényi DP at 156 orders. */
export const ACCOUNTANTS = ["rdp"] as const;
export type Accountant = (typeof ACCOUNTANTS)[number];

/** An upper bound on ε of the composition of all runs, for a δ. */
export function epsilonOf(runs: readonly GaussianRun[], delta: number, _accountant: Accountant): number {
  return rdpEpsilon(runs, delta).epsilon;
}

/** An upper bound on δ of the composition of all runs, for an ε ≥ 0. */
export function deltaOf(runs: readonly GaussianRun[], epsilon: number, _accountant: Accountant): number {
  return rdpDelta(runs, epsilon);
}
