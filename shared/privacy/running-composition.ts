import type { NeighbouringRun } from "./accountant.ts";
import { type ComposedLoss, compose } from "./compose.ts";
import { deltaAt, epsilonAt } from "./composed-answers.ts";
import { always, type GaussianPair, neighbouringPairs } from "./dominating-pair.ts";
import { tiltedMoments, trimmed } from "./exponential-tilt.ts";
import { outcomeRange } from "./loss-grid.ts";
import { upperTable } from "./loss-table.ts";
import { composeTables, withRanges } from "./pld.ts";
import { composedRdp, DEFAULT_ORDERS, epsilonFromRdp, RDP_ERROR } from "./rdp.ts";
import { ROUNDOFF } from "./rounding.ts";

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

/** Under P, the loss is `(first + i)·GRID` with probability `mass[i]`, and +∞ with `infinite`: a bound when all losses are moved up by `shift`. */
interface GridLoss {
  readonly first: number;
  readonly mass: Float64Array;
  readonly infinite: number;
  readonly shift: number;
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
const HOPELESS: GridLoss = { first: 0, mass: Float64Array.of(0), infinite: 1, shift: 0 };

/** The grid of a single run's steps: its share of the composed standard deviation, and the window that it may take. */
const FINE = 1 / 64;
const RUN_WINDOW = 2 ** 16;
/** Doublings of the grid until a run's window is small enough; after so many its loss is far above any budget. */
const MAX_TRIES = 40;
/** Outcomes whose loss counts as infinite: so much of a δ of 1e-8. */
const REFERENCE_DELTA = 1e-8;

/** The composition of nothing. */
export function emptyComposition(): RunningComposition {
  const nothing = { first: 0, mass: Float64Array.of(1), infinite: 0, shift: 0 };
  return { directions: [nothing, nothing], rdp: new Float64Array(DEFAULT_ORDERS.length) };
}

/** A composition with one more run, for add-or-remove-one neighbours where the run has none of its own kind. */
export function withRun(before: RunningComposition, run: NeighbouringRun): RunningComposition {
  // Rényi's bound is there for records that are added or removed only.
  const more = run.neighbouring === "replace-one" ? [] : composedRdp([run]);
  return {
    directions: runLosses(run).map((loss, i) => convolve(before.directions[i]!, loss)),
    rdp: before.rdp.map((sum, i) => sum + (more[i] ?? Number.POSITIVE_INFINITY)),
  };
}

/** An upper bound on the ε of a composition at a δ. */
export function runningEpsilon({ directions, rdp }: RunningComposition, delta: number): number {
  const distributions = directions.map((loss) =>
    loss.infinite >= delta ? Number.POSITIVE_INFINITY : epsilonAt(composedOf(loss), delta, "upper"),
  );
  const byRdp = epsilonFromRdp(DEFAULT_ORDERS, [...rdp], delta).epsilon * (1 + RDP_ERROR);
  return Math.min(Math.max(...distributions), byRdp);
}

/** Upper bounds on δ(ε) of a composition, in each direction: removing a record, and adding one. */
export function runningDeltas({ directions }: RunningComposition, epsilon: number): number[] {
  return directions.map((loss) => deltaAt(composedOf(loss), epsilon, "upper"));
}

/** A kept distribution as one that answers are read from: it is not tilted, and has nothing outside of its window. */
function composedOf({ first, mass, infinite, shift }: GridLoss): ComposedLoss {
  const exact = { step: GRID, tilt: 0, logMoment: 0, logError: 0, outside: 0 };
  return { ...exact, first: first * GRID, tilted: mass, infinite, shift };
}

/** One run's loss in each direction: removing a record, and adding one. Replacing one is alike in both. */
function runLosses({ sampleRate, noiseMultiplier, steps, neighbouring = "add-or-remove-one" }: NeighbouringRun) {
  // Without sampling all steps together are one Gaussian mechanism of less noise; its square root and quotient are rounded.
  const sigma = sampleRate === 1 ? (noiseMultiplier / Math.sqrt(steps)) * (1 - 4 * ROUNDOFF) : noiseMultiplier;
  const losses = neighbouringPairs(sampleRate, sigma, neighbouring).map((pair) =>
    sampleRate === 1 ? oneStepLoss(pair) : repeatedLoss(pair, steps),
  );
  return losses.length === 1 ? [losses[0]!, losses[0]!] : losses;
}

function oneStepLoss(pair: GaussianPair): GridLoss {
  const range = outcomeRange(pair, REFERENCE_DELTA * TRIMMED);
  const { first, mass, infinite, shift } = upperTable(pair, { step: GRID, offset: 0 }, range);
  return onGrid({ first: first * GRID, step: GRID, mass, infinite, shift });
}

function repeatedLoss(pair: GaussianPair, steps: number): GridLoss {
  const ranged = withRanges([{ branches: always(pair), steps }], REFERENCE_DELTA);
  const runs = trimmed(ranged, 0);
  const { deviation } = tiltedMoments(ranged, 0);
  let step = (FINE * deviation) / Math.sqrt(steps);
  for (let tries = 0; tries < MAX_TRIES; tries++, step *= 2) {
    const composed = composeTables(runs, step, 0, RUN_WINDOW, "upper");
    if (composed) return onGrid(untilted(composed));
  }
  return HOPELESS;
}

/** A distribution on a grid of its own: loss `first + i·step`. */
interface AnyLoss extends GridLoss {
  readonly step: number;
}

/** What was composed without a tilt, as probabilities that are no smaller than they should be; what may lie outside of the window counts as infinite. */
function untilted({ first, step, tilted, logMoment, logError, infinite, outside, shift }: ComposedLoss): AnyLoss {
  const relative = Math.expm1(logError) + (4 * Math.abs(logMoment) + 16) * ROUNDOFF;
  const scale = Math.exp(logMoment) * (1 + relative);
  return { first, step, mass: tilted.map((share) => share * scale), infinite: infinite + outside * scale, shift };
}

/**
 * A distribution on any grid, put on {@link GRID}: a probability p at the loss l becomes two, at the nodes beside it, with the same sums under P
 * and under Q = P·e^-loss. Merging the two is what turns the result into what it was, so it bounds it from above. Rounding: a node is
 * exact, its distance from l errs by a roundoff of the grid and the split by six more, of p; sums of n terms by n.
 */
function onGrid(fine: AnyLoss): GridLoss {
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
      const up = Math.min(p, (p * Math.expm1(node * GRID - loss)) / Math.expm1(-GRID) + 8 * ROUNDOFF * p);
      mass[node - low]! += p - up + 16 * ROUNDOFF * p;
      if (up > 0) mass[Math.min(node + 1 - low, mass.length - 1)]! += up;
    }
  }
  const sums = 1 + (fine.mass.length + 4) * ROUNDOFF;
  for (let i = 0; i < mass.length; i++) mass[i]! *= sums;
  infinite *= sums;
  return infinite > MOST_INFINITE ? HOPELESS : trim({ first: low, mass, infinite, shift: fine.shift });
}

/** The sum of two independent losses. */
function convolve(a: GridLoss, b: GridLoss): GridLoss {
  if (a.infinite === 1 || b.infinite === 1) return HOPELESS;
  const parts = [a, b].map((part) => ({ table: { ...part, step: GRID, offset: 0 }, steps: 1 }));
  // Twice the nodes of each is more than the sum of two such can have.
  const sum = untilted(compose(parts, 0, 4 * MAX_NODES, "upper")!);
  return onGrid({ ...sum, first: Math.round(sum.first / GRID) * GRID });
}

function trim({ first, mass, infinite, shift }: GridLoss): GridLoss {
  let [begin, end, below, above] = [0, mass.length, 0, 0];
  while (begin < end - 1 && below + mass[begin]! <= TRIMMED) below += mass[begin++]!;
  while (end > begin + 1 && above + mass[end - 1]! <= TRIMMED) above += mass[--end]!;
  const sums = 1 + (mass.length - (end - begin) + 2) * ROUNDOFF;
  const kept = mass.slice(begin, end);
  kept[0] = (kept[0]! + below) * sums;
  return { first: first + begin, mass: kept, infinite: (infinite + above) * sums, shift };
}

/** A composition as bytes: lengths and whole numbers, then float64 values, little-endian. */
export function encodeComposition({ directions, rdp }: RunningComposition): Uint8Array {
  const head = [
    FORMAT,
    rdp.length,
    ...directions.flatMap(({ first, mass, infinite, shift }) => [first, mass.length, infinite, shift]),
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
  const directions = [2, 6].map((i) => {
    const [first, length, infinite, shift] = values.subarray(i, i + 4) as unknown as [number, number, number, number];
    const mass = values.slice(at, at + length);
    at += length;
    return { first, mass, infinite, shift };
  });
  return { directions, rdp };
}

/** Changes with the grid: what was kept on another is computed anew. */
const FORMAT = 2;
const HEAD = 10;
