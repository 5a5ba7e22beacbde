import { type ComposedLoss, compose, type Side } from "./compose.ts";
import { deltaAt, epsilonAt, unsureAt } from "./composed-answers.ts";
import { type Branch, lossAt } from "./dominating-pair.ts";
import { type RepeatedStep, type Tilt, tiltForDelta, tiltForEpsilon, trimmed } from "./exponential-tilt.ts";
import { lossGrid, outcomeRange } from "./loss-grid.ts";
import { type LossTable, lowerTable, mixTables, upperTable } from "./loss-table.ts";
import type { Bounds } from "./solve.ts";

/** How close the bounds of an answer shall be: relative and absolute. */
const EPSILON_TOLERANCE = { relative: 3e-4, absolute: 3e-5 } as const;
/** The same for δ, relative. */
const DELTA_TOLERANCE = 1e-3;
/** The grid's first step, in standard deviations of one step's tilted loss. */
const FIRST_STEP = 1 / 12;
/** Most nodes of a window, unless told: some 200 MB and a second a convolution. */
export const MAX_WINDOW = 2 ** 22;
/** A δ that nobody asks to tell from 0. */
const SMALLEST_DELTA = 1e-15;
/** Share of δ that the window's folded ends and rounding may have before another tilt is tried. */
const FOLDED_SHARE = 1e-7;
/** Share of δ that may be spent on outcomes whose loss counts as infinite. */
const INFINITE_SHARE = 1e-4;

/** What is composed: steps of one direction, each as often as it is taken. */
export interface StepRun {
  readonly branches: readonly Branch[];
  readonly steps: number;
}

/**
 * Bounds on the smallest ε ≥ 0 with which a composition of steps is (ε, δ)-indistinguishable, in their one direction.
 * @param enough an upper bound that need not be improved on: another direction reaches it
 * @param largestWindow most nodes of a composed distribution, a power of two
 */
export function composedEpsilon(
  runs: readonly StepRun[],
  delta: number,
  enough = 0,
  largestWindow = MAX_WINDOW,
): Bounds {
  const pairs = withRanges(runs, delta);
  const tilt = tiltForDelta(pairs, delta);
  return refine(pairs, tilt, {
    largestWindow,
    tolerance: toleranceAt(tilt.mean),
    excessOf: ({ lower, upper }) => (upper <= enough ? 0 : (upper - lower) / toleranceAt(upper)),
    answer: (composed, side) => epsilonAt(composed, delta, side),
    // A rare large loss can make the saddle point miss: then rounding drowns the answer, and the tilt for the bound so far is better.
    retilt: (composed, { upper }) =>
      unsureAt(composed, upper) > FOLDED_SHARE * delta ? tiltForEpsilon(pairs, upper) : undefined,
  });
}

/** Bounds on δ(ε) of a composition of steps, in their one direction; ε ≥ 0. */
export function composedDelta(runs: readonly StepRun[], epsilon: number): Bounds {
  const guess = tiltForEpsilon(withRanges(runs, SMALLEST_DELTA), epsilon);
  // Chernoff's bound is above δ, by less than a hundred times where it matters.
  const pairs = withRanges(
    runs,
    Math.max(Math.min(Math.exp(guess.log - guess.tilt * epsilon), 1) / 100, SMALLEST_DELTA),
  );
  return refine(pairs, tiltForEpsilon(pairs, epsilon), {
    largestWindow: MAX_WINDOW,
    tolerance: toleranceAt(epsilon),
    excessOf: ({ lower, upper }) => (upper - lower) / (DELTA_TOLERANCE * upper + SMALLEST_DELTA),
    answer: (composed, side) => deltaAt(composed, epsilon, side),
    retilt: () => undefined,
  });
}

export function withRanges(runs: readonly StepRun[], delta: number): RepeatedStep[] {
  const tail = (steps: number) => (delta * INFINITE_SHARE) / (steps * runs.length);
  return runs.map(({ branches, steps }) => ({
    steps,
    branches: branches.map((branch) => ({ ...branch, range: outcomeRange(branch.pair, tail(steps)) })),
  }));
}

/** How close the two bounds on an ε shall be. */
export const toleranceAt = (epsilon: number) =>
  EPSILON_TOLERANCE.relative * Math.abs(epsilon) + EPSILON_TOLERANCE.absolute;

/** A tilt is worth beginning again for if it is below this share of the one in use. */
const BETTER_TILT = 0.99;
/** A round whose step is not smaller by this factor is not worth its time. */
const LEAST_REFINEMENT = 1.25;
/** Rounds of refinement; the window's limit ends it earlier unless something is wrong. */
const MAX_ROUNDS = 24;

/** What is asked of a composition. */
interface Question {
  readonly largestWindow: number;
  /** About how close the bounds of the composed loss shall be. */
  readonly tolerance: number;
  /** How wide the bounds are, in units of what is good enough. */
  excessOf(bounds: Bounds): number;
  answer(composed: ComposedLoss, side: Side): number;
  /** A better tilt, if the one that was used is too far off. */
  retilt(upper: ComposedLoss, bounds: Bounds): Tilt | undefined;
}

/** Refines tilt and grid until the two bounds are close enough or the window is too large; keeps the best of all bounds. */
function refine(untrimmed: readonly RepeatedStep[], firstTilt: Tilt, question: Question): Bounds {
  const steps = untrimmed.reduce((sum, run) => sum + run.steps, 0);
  const begin = (tilt: Tilt) => ({
    tilt: tilt.tilt,
    runs: trimmed(untrimmed, tilt.tilt),
    // A step that moves the composed loss by less than the tolerance, five standard deviations out, is fine enough in any case.
    step: Math.max(FIRST_STEP * tilt.deviation, question.tolerance / 2) / Math.sqrt(steps),
  });
  let { tilt, runs, step } = begin(firstTilt);
  let bounds: Bounds = { lower: 0, upper: Number.POSITIVE_INFINITY };
  let fitting = Number.POSITIVE_INFINITY;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const lower = composeTables(runs, step, tilt, question.largestWindow, "lower");
    const upper = lower && composeTables(runs, step, tilt, question.largestWindow, "upper");
    if (lower === undefined || upper === undefined) {
      // The window is too large: something between this step and the last one that fitted may do.
      step *= 2;
      if (step * LEAST_REFINEMENT > fitting) return bounds;
      continue;
    }
    fitting = step;
    bounds = {
      lower: Math.max(bounds.lower, question.answer(lower, "lower")),
      upper: Math.min(bounds.upper, question.answer(upper, "upper")),
    };
    const excess = question.excessOf(bounds);
    if (excess <= 1) return bounds;
    const better = question.retilt(upper, bounds);
    if (better !== undefined && better.tilt < BETTER_TILT * tilt) {
      ({ tilt, runs, step } = begin(better));
      fitting = Number.POSITIVE_INFINITY;
      continue;
    }
    // The gap falls with the square of the step, or a little slower: finer than needed costs less than another round.
    step /= Math.min(LEAST_REFINEMENT * Math.sqrt(excess), 16);
  }
  return bounds;
}

export function composeTables(
  runs: readonly RepeatedStep[],
  step: number,
  tilt: number,
  largestWindow: number,
  side: Side,
): ComposedLoss | undefined {
  const makeTable = side === "upper" ? upperTable : lowerTable;
  const tables: { table: LossTable; steps: number }[] = [];
  for (const { branches, steps } of runs) {
    const spread = ({ pair, range }: (typeof branches)[number]) => lossAt(pair, range.high) - lossAt(pair, range.low);
    if (branches.some((branch) => spread(branch) > largestWindow * step)) return undefined;
    const [first] = branches;
    const grid = lossGrid(first!.pair, step, first!.range);
    const parts = branches.map(({ weight, pair, range }, i) => ({
      weight,
      table: makeTable(pair, i === 0 ? grid : { step, offset: grid.offset }, range),
    }));
    tables.push({ table: mixTables(parts), steps });
  }
  return compose(tables, tilt, largestWindow, side);
}
