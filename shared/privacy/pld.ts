import { type ComposedLoss, compose } from "./compose.ts";
import { lossGrid, lowerTable, outcomeRange, upperTable } from "./loss-table.ts";
import { lossAt } from "./pair.ts";
import { type RepeatedPair, type Tilt, tiltForDelta, tiltForEpsilon, trimLow } from "./tilt.ts";

/** A number that is known to lie between two bounds. */
export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

type Side = keyof Bounds;

/** How close the bounds of an answer shall be: relative and absolute. */
const EPSILON_TOLERANCE = { relative: 3e-4, absolute: 3e-5 } as const;
/** The same for δ, relative. */
const DELTA_TOLERANCE = 1e-3;
/** The grid's first step, in standard deviations of one step's tilted loss. */
const FIRST_STEP = 1 / 12;
/** Most nodes of a window: some 200 MB and a second a convolution. */
const MAX_WINDOW = 2 ** 22;
/** A δ that nobody asks to tell from 0. */
const SMALLEST_DELTA = 1e-15;
/** Share of δ that may be spent on outcomes whose loss counts as infinite. */
const INFINITE_SHARE = 1e-4;

/** What is composed: pairs of one direction, each as often as it has steps. */
export type PairRun = Pick<RepeatedPair, "pair" | "steps">;

/**
 * Bounds on the smallest ε ≥ 0 with which a composition of pairs is (ε, δ)-indistinguishable, in their one direction.
 * @param enough an upper bound that need not be improved on: another direction reaches it
 */
export function composedEpsilon(runs: readonly PairRun[], delta: number, enough = 0): Bounds {
  const pairs = withRanges(runs, delta);
  const tilt = tiltForDelta(pairs, delta);
  const excess = ({ lower, upper }: Bounds) => (upper <= enough ? 0 : (upper - lower) / toleranceAt(upper));
  return refine(pairs, tilt, toleranceAt(tilt.mean), excess, (composed, side) => epsilonAt(composed, delta, side));
}

/** Bounds on δ(ε) of a composition of pairs, in their one direction; ε ≥ 0. */
export function composedDelta(runs: readonly PairRun[], epsilon: number): Bounds {
  const guess = tiltForEpsilon(withRanges(runs, SMALLEST_DELTA), epsilon);
  // Chernoff's bound is above δ, by less than a hundred times where it matters.
  const pairs = withRanges(
    runs,
    Math.max(Math.min(Math.exp(guess.log - guess.tilt * epsilon), 1) / 100, SMALLEST_DELTA),
  );
  const tilt = tiltForEpsilon(pairs, epsilon);
  const excess = ({ lower, upper }: Bounds) => (upper - lower) / (DELTA_TOLERANCE * upper + SMALLEST_DELTA);
  return refine(pairs, tilt, toleranceAt(epsilon), excess, (composed, side) => deltaAt(composed, epsilon, side));
}

function withRanges(runs: readonly PairRun[], delta: number): RepeatedPair[] {
  const tail = (steps: number) => (delta * INFINITE_SHARE) / (steps * runs.length);
  return runs.map(({ pair, steps }) => ({ pair, steps, range: outcomeRange(pair, tail(steps)) }));
}

/** How close the two bounds on an ε shall be. */
export const toleranceAt = (epsilon: number) =>
  EPSILON_TOLERANCE.relative * Math.abs(epsilon) + EPSILON_TOLERANCE.absolute;

/** Rounds of refinement; the window's limit ends it earlier unless something is wrong. */
const MAX_ROUNDS = 24;

/** Refines the grid until the two bounds are close enough or the window is too large; keeps the best of all bounds. */
function refine(
  untrimmed: readonly RepeatedPair[],
  { tilt, deviation }: Tilt,
  tolerance: number,
  excessOf: (bounds: Bounds) => number,
  answer: (composed: ComposedLoss, side: Side) => number,
): Bounds {
  const pairs = untrimmed.map((pair) => trimLow(pair, tilt));
  const steps = pairs.reduce((sum, pair) => sum + pair.steps, 0);
  // A step that moves the composed loss by less than the tolerance, five standard deviations out, is fine enough in any case.
  let step = Math.max((FIRST_STEP * deviation) / Math.sqrt(steps), tolerance / (2 * Math.sqrt(steps)));
  let bounds: Bounds = { lower: 0, upper: Number.POSITIVE_INFINITY };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const lower = composeTables(pairs, step, tilt, lowerTable);
    const upper = lower && composeTables(pairs, step, tilt, upperTable);
    if (lower === undefined || upper === undefined) {
      if (bounds.upper < Number.POSITIVE_INFINITY) return bounds;
      step *= 4;
      continue;
    }
    bounds = {
      lower: Math.max(bounds.lower, answer(lower, "lower")),
      upper: Math.min(bounds.upper, answer(upper, "upper")),
    };
    const excess = excessOf(bounds);
    if (excess <= 1) return bounds;
    // The gap falls with the square of the step.
    step /= Math.min(Math.max(1.25, Math.sqrt(excess) * 1.05), 8);
  }
  return bounds;
}

function composeTables(
  pairs: readonly RepeatedPair[],
  step: number,
  tilt: number,
  makeTable: typeof upperTable,
): ComposedLoss | undefined {
  const tables = [];
  for (const { pair, range, steps } of pairs) {
    if (lossAt(pair, range.high) - lossAt(pair, range.low) > MAX_WINDOW * step) return undefined;
    tables.push({ table: makeTable(pair, lossGrid(pair, step, range), range), steps });
  }
  return compose(tables, tilt, MAX_WINDOW);
}

/** What the window's leftovers can add to δ(ε) (or, for a lower bound, what they may have added wrongly). */
function leftover({ logMoment, tilt, outside, infinite }: ComposedLoss, epsilon: number, side: Side): number {
  const folded = outside * Math.exp(logMoment - tilt * epsilon);
  return side === "upper" ? folded + infinite : -folded;
}

/** δ(ε) = E_P[(1 − e^(ε − L))⁺] (Zhu, Dong and Wang 2022). */
function deltaAt(composed: ComposedLoss, epsilon: number, side: Side): number {
  const { first, step, tilted, tilt, logMoment } = composed;
  let delta = leftover(composed, epsilon, side);
  for (let i = Math.max(0, Math.ceil((epsilon - first) / step)); i < tilted.length; i++) {
    const loss = first + i * step;
    if (loss > epsilon) delta -= tilted[i]! * Math.exp(logMoment - tilt * loss) * Math.expm1(epsilon - loss);
  }
  return Math.min(Math.max(delta, 0), 1);
}

/**
 * The ε ≥ 0 where the bound on δ(ε) crosses a δ: walking down from the largest loss with A = Σ p and B = Σ p e^(l − L) over
 * the losses L ≥ l passed so far, δ(ε) = A − e^(ε − l) B between two nodes.
 */
function epsilonAt(composed: ComposedLoss, delta: number, side: Side): number {
  const { first, step, tilted, tilt, logMoment } = composed;
  const shrink = Math.exp(-step);
  let [a, b] = [0, 0];
  for (let i = tilted.length - 1; i >= 0; i--) {
    const loss = first + i * step;
    if (loss <= 0) return 0;
    const mass = tilted[i]! * Math.exp(logMoment - tilt * loss);
    a += mass;
    b = b * shrink + mass;
    const rest = leftover(composed, loss - step, side);
    if (a - b * shrink + rest > delta) {
      const epsilon = loss + Math.log((a + rest - delta) / b);
      return Math.max(0, Math.min(epsilon, loss));
    }
  }
  return side === "upper" ? Math.max(0, first - step) : 0;
}
