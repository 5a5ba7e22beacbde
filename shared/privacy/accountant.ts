import { always, groupPairs, type Neighbouring, neighbouringPairs } from "./dominating-pair.ts";
import { gaussianDeltaBounds, gaussianEpsilonBounds, oneStepDeltaBounds, oneStepEpsilonBounds } from "./gaussian.ts";
import { composedDelta, composedEpsilon, MAX_WINDOW, type StepRun } from "./pld.ts";
import { RDP_ERROR, rdpDelta, rdpEpsilon } from "./rdp.ts";
import { UNDERFLOW } from "./rounding.ts";
import type { GaussianRun } from "./run.ts";
import type { Bounds } from "./solve.ts";
import { type Truncation, truncatedBranches } from "./truncated-poisson.ts";

/**
 * The accountants by name: `pld` (the default) bounds the exact privacy-loss distribution from both sides, and uses a closed form
 * where there is one; `rdp` is Rényi DP at 156 orders, looser and instant.
 */
export const ACCOUNTANTS = ["pld", "rdp"] as const;
export type Accountant = (typeof ACCOUNTANTS)[number];

/** A run that has neighbours of its own kind, whatever is said of all. */
export interface NeighbouringRun extends GaussianRun {
  readonly neighbouring?: Neighbouring;
}

/** An upper bound on ε of the composition of all runs, for a δ and add-or-remove-one neighbours. */
export function epsilonOf(runs: readonly GaussianRun[], delta: number, accountant: Accountant): number {
  return accountant === "rdp" ? rdpEpsilon(runs, delta).epsilon * (1 + RDP_ERROR) : epsilonBounds(runs, delta).upper;
}

/** An upper bound on δ of the composition of all runs, for an ε ≥ 0 and add-or-remove-one neighbours. */
export function deltaOf(runs: readonly GaussianRun[], epsilon: number, accountant: Accountant): number {
  return accountant === "rdp"
    ? Math.min(1, rdpDelta(runs, epsilon) * (1 + RDP_ERROR) + UNDERFLOW)
    : deltaBounds(runs, epsilon).upper;
}

/**
 * Bounds on the smallest ε ≥ 0 of the composition of all runs for a δ. They differ by at most `toleranceAt(upper)` (3e-4
 * relative plus 3e-5); wider bounds are still valid and say that a tighter answer was out of reach. Only rounding apart where a closed
 * form exists.
 * @param largestWindow most nodes of a composed distribution, a power of two: it bounds time and memory
 */
export function epsilonBounds(
  runs: readonly NeighbouringRun[],
  delta: number,
  neighbouring: Neighbouring = "add-or-remove-one",
  largestWindow = MAX_WINDOW,
): Bounds {
  const mu = gaussianMu(runs, neighbouring);
  if (mu !== undefined) return gaussianEpsilonBounds(mu, delta);
  const single = singleStep(runs, neighbouring);
  if (single !== undefined) return oneStepEpsilonBounds(single.sampleRate, single.noiseMultiplier, delta);
  let worst: Bounds = { lower: 0, upper: 0 };
  for (const direction of directionsOf(runs, neighbouring)) {
    worst = larger(worst, composedEpsilon(direction, delta, worst.upper, largestWindow));
  }
  return worst;
}

/** Most nodes of a distribution where strangers say what is composed: a few seconds of work at most, whatever they say. */
const LIMITED_WINDOW = 2 ** 18;

/**
 * The same in limited work, for add-or-remove-one neighbours: the bounds can be further apart, but the upper one is never above
 * what RDP gives.
 */
export function limitedEpsilonBounds(runs: readonly NeighbouringRun[], delta: number): Bounds {
  const { lower, upper } = epsilonBounds(runs, delta, "add-or-remove-one", LIMITED_WINDOW);
  const replaced = runs.some((run) => run.neighbouring === "replace-one");
  return { lower, upper: replaced ? upper : Math.min(upper, epsilonOf(runs, delta, "rdp")) };
}

/** Bounds on δ of the composition of all runs for an ε ≥ 0, as {@link epsilonBounds}; 1e-3 relative apart. */
export function deltaBounds(
  runs: readonly NeighbouringRun[],
  epsilon: number,
  neighbouring: Neighbouring = "add-or-remove-one",
): Bounds {
  const mu = gaussianMu(runs, neighbouring);
  if (mu !== undefined) return gaussianDeltaBounds(mu, epsilon);
  const single = singleStep(runs, neighbouring);
  if (single !== undefined) return oneStepDeltaBounds(single.sampleRate, single.noiseMultiplier, epsilon);
  return directionsOf(runs, neighbouring)
    .map((direction) => composedDelta(direction, epsilon))
    .reduce(larger);
}

/** Bounds on ε for someone who has up to `group` of the records; see {@link groupPairs}. */
export function groupEpsilonBounds(run: GaussianRun, group: number, delta: number, largestWindow = MAX_WINDOW): Bounds {
  const { sampleRate, noiseMultiplier, steps } = run;
  if (sampleRate === 1) return gaussianEpsilonBounds((group * Math.sqrt(steps)) / noiseMultiplier, delta);
  return groupPairs(sampleRate, noiseMultiplier, group)
    .map((pair) => composedEpsilon([{ branches: always(pair), steps }], delta, 0, largestWindow))
    .reduce(larger);
}

/** The upper bound of {@link groupEpsilonBounds} in limited work; Infinity if that finds none. */
export const limitedGroupEpsilon = (run: GaussianRun, group: number, delta: number): number =>
  groupEpsilonBounds(run, group, delta, LIMITED_WINDOW).upper;

/**
 * Bounds on the ε that {@link truncatedBranches} gives for a run whose Poisson samples were cut to a largest batch. The upper one bounds
 * the run's own ε too; the lower one is only of the analysis.
 */
export function truncatedEpsilonBounds(run: GaussianRun, truncation: Truncation, delta: number): Bounds {
  const { sampleRate, noiseMultiplier, steps } = run;
  return truncatedBranches(sampleRate, noiseMultiplier, truncation)
    .map((branches) => composedEpsilon([{ branches, steps }], delta))
    .reduce(larger);
}

const larger = (a: Bounds, b: Bounds): Bounds => ({
  lower: Math.max(a.lower, b.lower),
  upper: Math.max(a.upper, b.upper),
});

/** Without subsampling all runs together are one Gaussian mechanism: its μ = √(Σ steps·(sensitivity/σ)²); else undefined. */
function gaussianMu(runs: readonly NeighbouringRun[], neighbouring: Neighbouring): number | undefined {
  if (!runs.every((run) => run.sampleRate === 1)) return undefined;
  const sensitivity = (run: NeighbouringRun) => ((run.neighbouring ?? neighbouring) === "replace-one" ? 2 : 1);
  return Math.sqrt(runs.reduce((sum, run) => sum + run.steps * squareOf(sensitivity(run) / run.noiseMultiplier), 0));
}

const squareOf = (x: number) => x * x;

function singleStep(runs: readonly NeighbouringRun[], neighbouring: Neighbouring): GaussianRun | undefined {
  const [run] = runs;
  const described = (run?.neighbouring ?? neighbouring) === "add-or-remove-one";
  return runs.length === 1 && run!.steps === 1 && described ? run : undefined;
}

/** The pairs to compose, a list a direction; equal runs become one, so a resumed run costs what an uninterrupted one does. */
function directionsOf(runs: readonly NeighbouringRun[], neighbouring: Neighbouring): StepRun[][] {
  const merged = new Map<string, NeighbouringRun>();
  for (const run of runs) {
    const key = `${run.sampleRate} ${run.noiseMultiplier} ${run.neighbouring}`;
    merged.set(key, { ...run, steps: run.steps + (merged.get(key)?.steps ?? 0) });
  }
  const pairs = [...merged.values()].map((run) => ({
    directions: neighbouringPairs(run.sampleRate, run.noiseMultiplier, run.neighbouring ?? neighbouring),
    steps: run.steps,
  }));
  // Replacing is alike in both directions, so its one pair stands for either.
  const count = Math.max(...pairs.map(({ directions }) => directions.length));
  return Array.from({ length: count }, (_, i) =>
    pairs.map(({ directions, steps }) => ({ branches: always(directions[i] ?? directions[0]!), steps })),
  );
}
