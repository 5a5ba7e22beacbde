import { type GaussianPair, lossAt, lossError, outcomeOf } from "./dominating-pair.ts";
import { type Masses, massBetween, massesBetween } from "./interval-mass.ts";
import { endMass, type LossGrid, type OutcomeRange } from "./loss-grid.ts";
import { ROUNDOFF } from "./rounding.ts";

/**
 * A discrete privacy-loss distribution: under P, the loss is `offset + (first + i)·step` with probability `mass[i]`, and
 * +∞ with probability `infinite`; what is missing to 1 has the loss −∞. It bounds a pair's when all losses are moved by `shift`: up for an upper
 * table, down for a lower one. The masses themselves are bounds: rounding is in them.
 */
export interface LossTable {
  readonly step: number;
  readonly offset: number;
  readonly first: number;
  readonly mass: Float64Array;
  readonly infinite: number;
  readonly shift: number;
}

/** How exactly a bin ends at its loss, in grid steps. Its probabilities are exact for where it does end. */
const BOUNDARY_TOLERANCE = 1e-10;
/** Above this loss e^loss leaves double precision; the mass is rounded up there. */
const LARGEST_SPLIT_LOSS = 600;

/** A range of outcomes cut at the losses offset + k·step for first < k ≤ last. */
interface Bins {
  readonly first: number;
  readonly last: number;
  readonly low: number;
  readonly high: number;
}

/** The outcomes between which lie the bins first, …, last; bin k is (offset + k·step, offset + (k + 1)·step]. */
function binEnds(pair: GaussianPair, step: number, offset: number, { first, last, low, high }: Bins): Float64Array {
  const count = last - first + 1;
  const outcomes = new Float64Array(count + 1);
  outcomes[0] = low;
  for (let i = 1; i < count; i++) {
    const [left, before, earlier] = [outcomes[i - 1]!, outcomes[Math.max(i - 2, 0)]!, outcomes[Math.max(i - 3, 0)]!];
    const guess = i < 4 ? left : 3 * left - 3 * before + earlier;
    const options = { low: left, high, guess, tolerance: step * BOUNDARY_TOLERANCE };
    outcomes[i] = outcomeOf(pair, offset + (first + i) * step, options);
  }
  outcomes[count] = high;
  return outcomes;
}

/**
 * The tightest table on a grid that is at least as revealing as the pair ("connect the dots", Doroshenko, Ghazi, Kamath, Kumar
 * and Manurangsi 2022): every bin's probability goes to its two ends so that P and Q are both preserved. Compositions of the
 * table therefore bound δ from above at every ε.
 *
 * Rounding: the losses of a bin pass its nodes by at most `shift`. Raise those below to (lower node + shift), which is more revealing and lessens Q's
 * share by a factor of at least e^(−2·shift); all lie between the nodes moved up by `shift` then, and the split of the exact P and Q there has
 * (p − q·e^(node − shift))/(1 − e^−step) above. Any mass that is larger than that, or lies higher, is more revealing still.
 */
export function upperTable(pair: GaussianPair, grid: LossGrid, range: OutcomeRange): LossTable {
  const { low, high } = range;
  const first = Math.floor((lossAt(pair, low) - grid.offset) / grid.step);
  const last = Math.max(first, Math.ceil((lossAt(pair, high) - grid.offset) / grid.step) - 1);
  const ends = binEnds(pair, grid.step, grid.offset, { first, last, low, high });
  const shift = lossError(pair, low, high) + overshoot(pair, grid, first, ends);
  const [p, q] = [massesBetween(pair.p, pair.sigma, ends), massesBetween(pair.q, pair.sigma, ends)];
  const mass = new Float64Array(p.mass.length + 1);
  const shrink = -Math.expm1(-grid.step);
  for (let i = 0; i < p.mass.length; i++) {
    const loss = grid.offset + (first + i) * grid.step;
    const most = p.mass[i]! + p.error[i]!;
    const relative = shift + nodeError(grid.offset, loss) + 8 * ROUNDOFF;
    const up = loss > LARGEST_SPLIT_LOSS ? most : splitAbove(p, q, i, Math.exp(loss), relative) / shrink;
    const clamped = Math.min(Math.max(up, 0), most);
    mass[i]! += most - clamped;
    mass[i + 1]! += clamped * (1 + 4 * ROUNDOFF);
  }
  // What lies below the range is not above its end, and so below the second node.
  const below = massBetween(pair.p, pair.sigma, Number.NEGATIVE_INFINITY, low);
  mass[1]! += below.mass + below.error;
  for (let i = 0; i < mass.length; i++) mass[i]! *= 1 + 8 * ROUNDOFF;
  return { step: grid.step, offset: grid.offset, first, mass, infinite: range.above, shift };
}

/** An upper bound on p − q·ratio for a bin, where the ratio may be too large by a relative error. */
function splitAbove(p: Masses, q: Masses, bin: number, ratio: number, ratioError: number): number {
  const least = Math.max(0, q.mass[bin]! * (1 - ratioError) - q.error[bin]!);
  return p.mass[bin]! * (1 + 4 * ROUNDOFF) + p.error[bin]! - least * ratio;
}

/** How far a computed node can be from offset + k·step: both roundings are of a number of at most |offset| + |loss|. */
const nodeError = (offset: number, loss: number) => 3 * (Math.abs(offset) + Math.abs(loss)) * ROUNDOFF;

/** By how much the losses of outcomes pass the nodes that they were sought for, as computed. */
function overshoot(pair: GaussianPair, { offset, step }: LossGrid, first: number, ends: Float64Array): number {
  let most = 0;
  for (let i = 1; i < ends.length; i++) {
    const loss = offset + (first + i) * step;
    const passed = lossAt(pair, ends[i]!) - loss;
    // The last bin may end anywhere below its node.
    most = Math.max(most, (i < ends.length - 1 ? Math.abs(passed) : passed) + nodeError(offset, loss));
  }
  return most;
}

/**
 * A table on a grid that is at most as revealing as the pair, because it is a post-processing of it: the outcomes of a bin around
 * a node are merged into one, whose log-ratio lies near the node. It is brought there exactly by merging it with a small part of
 * what lies on the other side of the node. Where there is too little, the loss is rounded down. Compositions of the table bound
 * δ from below at every ε, with an error of second order in the step.
 */
export function lowerTable(pair: GaussianPair, grid: LossGrid, range: OutcomeRange): LossTable {
  const { step, offset, atom } = grid;
  const centred = offset - step / 2;
  const nodeAt = (outcome: number) => Math.floor((lossAt(pair, outcome) - centred) / step);
  const bins = { first: nodeAt(range.low), last: nodeAt(range.high), low: range.low, high: range.high };
  const masses = (ends: Float64Array) => ({
    p: massesBetween(pair.p, pair.sigma, ends),
    q: massesBetween(pair.q, pair.sigma, ends),
  });
  if (atom === undefined) {
    const { p, q } = masses(binEnds(pair, step, centred, bins));
    return { step, offset, first: bins.first, infinite: 0, ...contractToNodes(p, q, grid, bins.first) };
  }
  const onLow = atom.side === "low";
  const outside = onLow
    ? { ...bins, first: 1, last: Math.max(1, bins.last), low: atom.outcome }
    : { ...bins, first: Math.min(-1, bins.first), last: -1, high: atom.outcome };
  const { p, q } = masses(binEnds(pair, step, centred, outside));
  const withAtom = (binned: Masses, end: { mass: number; error: number }): Masses => {
    const put = (bins: Float64Array, last: number) => Float64Array.from(onLow ? [last, ...bins] : [...bins, last]);
    return { mass: put(binned.mass, end.mass), error: put(binned.error, end.error) };
  };
  const first = onLow ? 0 : outside.first;
  const contracted = contractToNodes(
    withAtom(p, endMass(pair.p, pair.sigma, atom.side, atom.outcome)),
    withAtom(q, endMass(pair.q, pair.sigma, atom.side, atom.outcome)),
    grid,
    first,
  );
  return { step, offset, first, infinite: 0, ...contracted };
}

/** Nodes below a bin that it may be merged with; further ones have hardly anything left. */
const BORROW_REACH = 8;

/** What a node lacks of its log-ratio, relative to its mass, may be moved into the table's shift up to here; beyond it the mass goes a node down. */
const TOLERATED = 1e-12;
/** A node whose rounding is above this share of a step is left out. */
const LARGEST_LACK = 1e-3;

/**
 * P's mass at each node, after merging bins as {@link lowerTable} says; uses up its arguments. Along with each node's mass goes what it may `lack` by
 * rounding: in exact numbers, P of what was merged is at least mass − lack, and Q's times e^loss is at most mass + lack.
 */
function contractToNodes(p: Masses, q: Masses, { step, offset }: LossGrid, first: number) {
  const size = p.mass.length;
  const mass = new Float64Array(size);
  const lack = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const loss = offset + (first + i) * step;
    const ratio = Math.exp(loss);
    const ratioError = nodeError(offset, loss) + 8 * ROUNDOFF;
    const unsureOf = (j: number) => p.error[j]! + (q.error[j]! + q.mass[j]! * ratioError) * ratio;
    mass[i] = p.mass[i]!;
    let excess = p.mass[i]! - q.mass[i]! * ratio;
    let unsure = unsureOf(i);
    for (let j = i - 1; excess > 0 && j >= Math.max(0, i - BORROW_REACH); j--) {
      const distance = Math.expm1((i - j) * step);
      const borrowed = Math.min(excess / distance, mass[j]!);
      // With its share of what the lower node lacks, which the higher ratio enlarges.
      const part = mass[j]! > 0 ? lack[j]! * (borrowed / mass[j]!) : 0;
      unsure += part * (1 + distance);
      lack[j]! -= part;
      mass[j]! -= borrowed;
      mass[i]! += borrowed;
      excess -= borrowed * distance;
    }
    for (let j = i + 1; excess < 0 && j < size; j++) {
      const surplus = p.mass[j]! - q.mass[j]! * ratio;
      const share = surplus > 0 ? Math.min(-excess / surplus, 1) : 0;
      mass[i]! += share * p.mass[j]!;
      unsure += share * unsureOf(j);
      for (const part of [p.mass, p.error, q.mass, q.error]) part[j]! *= 1 - share;
      excess = share < 1 && surplus > 0 ? 0 : excess + surplus * share;
    }
    lack[i] = Math.max(0, -excess) + unsure + 32 * ROUNDOFF * mass[i]!;
    // Too little lies above. The bin's losses are at most half a step below its node, so the one below is not too high.
    if (-excess > TOLERATED * mass[i]!) moveDown(mass, lack, i, unsure + 32 * ROUNDOFF * mass[i]!);
  }
  return withoutLacks(mass, lack, step);
}

/** Puts a node's mass, less what rounding may have added to it, on the node below. */
function moveDown(mass: Float64Array, lack: Float64Array, node: number, unsure: number): void {
  if (node > 0) mass[node - 1]! += Math.max(0, mass[node]! - unsure);
  mass[node] = 0;
  lack[node] = 0;
}

/** The masses, a little smaller than they are, with the shift of all losses that makes up for what nodes lack. */
function withoutLacks(mass: Float64Array, lack: Float64Array, step: number): { mass: Float64Array; shift: number } {
  let most = 0;
  for (let i = 0; i < mass.length; i++) {
    if (lack[i]! > LARGEST_LACK * step * mass[i]!) mass[i] = 0;
    else if (lack[i]! > TOLERATED * mass[i]!) moveDown(mass, lack, i, lack[i]!);
    else if (mass[i]! > 0) most = Math.max(most, lack[i]! / mass[i]!);
  }
  for (let i = 0; i < mass.length; i++) mass[i]! *= 1 - 2 * most;
  // −log((1 − x)/(1 + x)) for the largest lack x.
  return { mass, shift: 2 * most * (1 + TOLERATED) };
}

/** The table of a step that comes to one of several cases, known to the observer: weighted sums on their common grid. */
export function mixTables(parts: readonly { readonly weight: number; readonly table: LossTable }[]): LossTable {
  const { step, offset } = parts[0]!.table;
  if (parts.length === 1) return parts[0]!.table;
  const first = Math.min(...parts.map(({ table }) => table.first));
  const end = Math.max(...parts.map(({ table }) => table.first + table.mass.length));
  const mass = new Float64Array(end - first);
  let infinite = 0;
  for (const { weight, table } of parts) {
    infinite += weight * table.infinite;
    for (let i = 0; i < table.mass.length; i++) mass[table.first - first + i]! += weight * table.mass[i]!;
  }
  return { step, offset, first, mass, infinite, shift: Math.max(...parts.map(({ table }) => table.shift)) };
}
