import { type ComposedLoss, compose } from "./compose.ts";
import { always, neighbouringPairs } from "./dominating-pair.ts";
import { tiltedMoments, trimLow } from "./exponential-tilt.ts";
import { outcomeRange, upperTable } from "./loss-table.ts";
import { composeTables, epsilonAt, withRanges } from "./pld.ts";
import { composedRdp, DEFAULT_ORDERS, epsilonFromRdp } from "./rdp.ts";
import type { GaussianRun } from "./run.ts";

/**
 * What is kept of a composition so that one more run costs one run: in each direction a privacy-loss distribution that dominates the
 * composition's (on one grid, cut at ±{@link LARGEST_LOSS}), and the sum of the runs' Rényi divergences. Both give upper bounds on ε at any δ.
 */
export interface RunningComposition {
  /** Removing a record, and adding one. */
  readonly directions: readonly GridLoss[];
  /** One for each of the default orders. */
  readonly rdp: Float64Array;
}

/** Under P, the loss is `(first + i)·GRID` with probability `mass[i]`, and +∞ with `infinite`. */
interface GridLoss {
  readonly first: number;
  readonly mass: Float64Array;
  readonly infinite: number;
}

/**
 * The grid of all losses that are kept. Putting a loss on its two neighbours so that P and Q keep their masses adds at most GRID²/4 to the variance,
 * which is 1e-6 a run; a run of ε = 1 has about 0.05.
 */
const GRID = 2 ** -9;
/** Above it nobody's budget goes: such a loss counts as infinite. */
const LARGEST_LOSS = 64;
const MAX_NODES = (2 * LARGEST_LOSS) / GRID;
/** Probability that a kept distribution may lose at each end: it goes to the lowest node, or counts as an infinite loss. */
const TRIMMED = 1e-14;

/** With more than this at an infinite loss there is no epsilon at any delta that is asked for: only the Rényi bound is left. */
const MOST_INFINITE = 0.01;
const HOPELESS: GridLoss = { first: 0, mass: Float64Array.of(0), infinite: 1 };

/** The grid of a single run's steps: its share of the composed standard deviation, and the window that it may take. */
const FINE = 1 / 64;
const RUN_WINDOW = 2 ** 16;
/** Doublings of the grid until a run's window is small enough; after so many its loss is far above any budget. */
const MAX_TRIES = 40;
/** Outcomes whose loss counts as infinite: so much of a δ of 1e-8. */
const REFERENCE_DELTA = 1e-8;

/** The composition of nothing. */
export function emptyComposition(): RunningComposition {
  const nothing = { first: 0, mass: Float64Array.of(1), infinite: 0 };
  return { directions: [nothing, nothing], rdp: new Float64Array(DEFAULT_ORDERS.length) };
}

/** A composition with one more run, for add-or-remove-one neighbours. */
export function withRun(before: RunningComposition, run: GaussianRun): RunningComposition {
  const more = composedRdp([run]);
  return {
    directions: runLosses(run).map((loss, i) => convolve(before.directions[i]!, loss)),
    rdp: before.rdp.map((sum, i) => sum + more[i]!),
  };
}

/** An upper bound on the ε of a composition at a δ. */
export function runningEpsilon({ directions, rdp }: RunningComposition, delta: number): number {
  const distributions = directions.map(({ first, mass, infinite }) => {
    if (infinite >= delta) return Number.POSITIVE_INFINITY;
    const untilted = { step: GRID, tilt: 0, logMoment: 0, outside: 0 };
    return epsilonAt({ ...untilted, first: first * GRID, tilted: mass, infinite }, delta, "upper");
  });
  return Math.min(Math.max(...distributions), epsilonFromRdp(DEFAULT_ORDERS, [...rdp], delta).epsilon);
}

/** One run's loss in each direction. */
function runLosses({ sampleRate, noiseMultiplier, steps }: GaussianRun): GridLoss[] {
  if (sampleRate === 1) {
    // All steps together are one Gaussian mechanism of less noise.
    const whole = neighbouringPairs(1, noiseMultiplier / Math.sqrt(steps), "add-or-remove-one");
    return whole.map((pair) => {
      const range = outcomeRange(pair, REFERENCE_DELTA * TRIMMED);
      const { first, offset, mass, infinite } = upperTable(pair, { step: GRID, offset: 0 }, range);
      return onGrid({ first: offset + first * GRID, step: GRID, mass, infinite });
    });
  }
  return neighbouringPairs(sampleRate, noiseMultiplier, "add-or-remove-one").map((pair) => {
    const ranged = withRanges([{ branches: always(pair), steps }], REFERENCE_DELTA);
    const runs = ranged.map((part) => ({ ...part, branches: part.branches.map((branch) => trimLow(branch, 0)) }));
    const { deviation } = tiltedMoments(ranged, 0);
    let step = (FINE * deviation) / Math.sqrt(steps);
    let composed: ComposedLoss | undefined;
    for (let tries = 0; composed === undefined && tries < MAX_TRIES; tries++, step *= 2) {
      composed = composeTables(runs, step, 0, RUN_WINDOW, upperTable);
    }
    if (composed === undefined) return HOPELESS;
    const { first, tilted, logMoment, infinite, outside } = composed;
    const mass = tilted.map((share) => share * Math.exp(logMoment));
    return onGrid({ first, step: composed.step, mass, infinite: infinite + outside });
  });
}

/**
 * A distribution on any grid, put on {@link GRID}: a probability p at the loss l becomes two, at the nodes beside it, with the same sums under P
 * and under Q = P·e^-loss. Merging the two is what turns the result into what it was, so it bounds it from above.
 */
function onGrid(fine: { first: number; step: number; mass: Float64Array; infinite: number }): GridLoss {
  const lossAt = (i: number) => fine.first + i * fine.step;
  const low = Math.max(Math.floor(lossAt(0) / GRID), -LARGEST_LOSS / GRID);
  const high = Math.min(Math.ceil(lossAt(fine.mass.length - 1) / GRID), LARGEST_LOSS / GRID);
  const mass = new Float64Array(Math.max(1, high - low + 1));
  let { infinite } = fine;
  for (const [i, p] of fine.mass.entries()) {
    const loss = lossAt(i);
    const node = Math.floor(loss / GRID);
    if (node < low) mass[0]! += p;
    else if (node >= high && loss > high * GRID) infinite += p;
    else {
      const up = Math.min(p, (p * Math.expm1(node * GRID - loss)) / Math.expm1(-GRID));
      mass[node - low]! += p - up;
      if (up > 0) mass[Math.min(node + 1 - low, mass.length - 1)]! += up;
    }
  }
  return infinite > MOST_INFINITE ? HOPELESS : trim({ first: low, mass, infinite });
}

/** The sum of two independent losses. */
function convolve(a: GridLoss, b: GridLoss): GridLoss {
  if (a.infinite === 1 || b.infinite === 1) return HOPELESS;
  const table = ({ first, mass, infinite }: GridLoss) => ({ step: GRID, offset: 0, first, mass, infinite });
  const parts = [a, b].map((part) => ({ table: table(part), steps: 1 }));
  // Twice the nodes of each is more than the sum of two such can have.
  const { first, tilted, logMoment, infinite, outside } = compose(parts, 0, 4 * MAX_NODES)!;
  const mass = tilted.map((share) => share * Math.exp(logMoment));
  return onGrid({ first: Math.round(first / GRID) * GRID, step: GRID, mass, infinite: infinite + outside });
}

function trim({ first, mass, infinite }: GridLoss): GridLoss {
  let [begin, end, below, above] = [0, mass.length, 0, 0];
  while (begin < end - 1 && below + mass[begin]! <= TRIMMED) below += mass[begin++]!;
  while (end > begin + 1 && above + mass[end - 1]! <= TRIMMED) above += mass[--end]!;
  const kept = mass.slice(begin, end);
  kept[0]! += below;
  return { first: first + begin, mass: kept, infinite: infinite + above };
}

/** A composition as bytes: lengths and whole numbers, then float64 values, little-endian. */
export function encodeComposition({ directions, rdp }: RunningComposition): Uint8Array {
  const head = [
    FORMAT,
    rdp.length,
    ...directions.flatMap(({ first, mass, infinite }) => [first, mass.length, infinite]),
  ];
  const values = [...head, ...rdp, ...directions.flatMap(({ mass }) => [...mass])];
  return new Uint8Array(Float64Array.from(values).buffer);
}

/** @returns undefined for what another release wrote */
export function decodeComposition(bytes: Uint8Array): RunningComposition | undefined {
  const values = new Float64Array(bytes.slice().buffer);
  const [format, orders] = values;
  if (format !== FORMAT || orders !== DEFAULT_ORDERS.length) return undefined;
  let at = HEAD + orders;
  const rdp = values.slice(HEAD, at);
  const directions = [2, 5].map((i) => {
    const [first, length, infinite] = values.subarray(i, i + 3) as unknown as [number, number, number];
    const mass = values.slice(at, at + length);
    at += length;
    return { first, mass, infinite };
  });
  return { directions, rdp };
}

/** Changes with the grid: what was kept on another is computed anew. */
const FORMAT = 1;
const HEAD = 8;
