import { type GaussianPair, lossAt, type Mixture, massBetween, massesBetween, outcomeOf } from "./dominating-pair.ts";

/**
 * A discrete privacy-loss distribution: under P, the loss is `offset + (first + i)·step` with probability `mass[i]`, and
 * +∞ with probability `infinite`; what is missing to 1 has the loss −∞.
 */
export interface LossTable {
  readonly step: number;
  readonly offset: number;
  readonly first: number;
  readonly mass: Float64Array;
  readonly infinite: number;
}

/** The grid that losses are put on: the whole multiples of `step`, moved by `offset`. */
export interface LossGrid {
  readonly step: number;
  readonly offset: number;
  /** If given, all outcomes up to here (side "low"), or from here on ("high"), have together exactly the log-ratio `offset`. */
  readonly atom?: { readonly side: "low" | "high"; readonly outcome: number };
}

/** Outcomes further than this many standard deviations on the harmless side have a probability below 1e-20. */
const LOW_REACH = 9.5;
/** How exactly a bin ends at its loss, in grid steps. Its probabilities are exact for where it does end. */
const BOUNDARY_TOLERANCE = 1e-9;
/** Above this loss e^loss leaves double precision; the mass is rounded up there. */
const LARGEST_SPLIT_LOSS = 600;

/** The range of outcomes that matters: above it lies at most `tail` of P's probability. */
export interface OutcomeRange {
  readonly low: number;
  readonly high: number;
  readonly above: number;
}

/** @param tail the probability under P that may be cut off above (it counts as an infinite loss) */
export function outcomeRange(pair: GaussianPair, tail: number): OutcomeRange {
  const low = Math.min(...pair.p.means, ...pair.q.means) - LOW_REACH * pair.sigma;
  let high = Math.max(...pair.p.means);
  let above = 1;
  while (above > tail && above > 1e-300) {
    high += pair.sigma / 8;
    above = massBetween(pair.p, pair.sigma, high, Number.POSITIVE_INFINITY);
  }
  return { low, high, above };
}

/**
 * A grid with a node exactly at the log-ratio of an atom: the bin at one end of the loss's range, open towards that end. Where
 * sampling is rare nearly all probability lies at such an end, within less than a step; off the grid it would be smeared over
 * two nodes, or rounded down, at every step.
 */
export function lossGrid(pair: GaussianPair, step: number, range: OutcomeRange): LossGrid {
  const low = atomAt("low", pair, step, range);
  const high = atomAt("high", pair, step, range);
  return { step, ...(low.p >= high.p ? low : high) };
}

/** The end of the range whose losses are within a step of each other, and at most half a step from its log-ratio. */
function atomAt(side: "low" | "high", { sigma, p, q }: GaussianPair, step: number, range: OutcomeRange) {
  const beyond = (mixture: Mixture, outcome: number) => endMass(mixture, sigma, side, outcome);
  const offsetAt = (outcome: number) => Math.log(beyond(p, outcome) / beyond(q, outcome));
  const endLoss = lossAt({ sigma, p, q }, side === "low" ? range.low : range.high);
  const wide = (outcome: number) => {
    const loss = lossAt({ sigma, p, q }, outcome);
    return Math.abs(loss - endLoss) > step || Math.abs(loss - offsetAt(outcome)) > step / 2;
  };
  let [narrow, other] = side === "low" ? [range.low, range.high] : [range.high, range.low];
  for (let i = 0; i < 60; i++) {
    const middle = (narrow + other) / 2;
    if (wide(middle)) other = middle;
    else narrow = middle;
  }
  return { p: beyond(p, narrow), offset: offsetAt(narrow), atom: { side, outcome: narrow } };
}

function endMass(mixture: Mixture, sigma: number, side: "low" | "high", outcome: number): number {
  return side === "low"
    ? massBetween(mixture, sigma, Number.NEGATIVE_INFINITY, outcome)
    : massBetween(mixture, sigma, outcome, Number.POSITIVE_INFINITY);
}

/** A range of outcomes cut at the losses offset + k·step for first < k ≤ last. */
interface Bins {
  readonly first: number;
  readonly last: number;
  readonly low: number;
  readonly high: number;
}

/** The probabilities under P and Q of the bins first, …, last; bin k is (offset + k·step, offset + (k + 1)·step]. */
function binMasses(pair: GaussianPair, step: number, offset: number, { first, last, low, high }: Bins) {
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
  return { p: massesBetween(pair.p, pair.sigma, outcomes), q: massesBetween(pair.q, pair.sigma, outcomes) };
}

/**
 * The tightest table on a grid that is at least as revealing as the pair ("connect the dots", Doroshenko, Ghazi, Kamath, Kumar
 * and Manurangsi 2022): every bin's probability goes to its two ends so that P and Q are both preserved. Compositions of the
 * table therefore bound δ from above at every ε.
 */
export function upperTable(pair: GaussianPair, grid: LossGrid, range: OutcomeRange): LossTable {
  const { low, high } = range;
  const first = Math.floor((lossAt(pair, low) - grid.offset) / grid.step);
  const last = Math.max(first, Math.ceil((lossAt(pair, high) - grid.offset) / grid.step) - 1);
  const { p, q } = binMasses(pair, grid.step, grid.offset, { first, last, low, high });
  const mass = new Float64Array(p.length + 1);
  mass[0] = massBetween(pair.p, pair.sigma, Number.NEGATIVE_INFINITY, range.low);
  const shrink = -Math.expm1(-grid.step);
  for (let i = 0; i < p.length; i++) {
    const loss = grid.offset + (first + i) * grid.step;
    const up = loss > LARGEST_SPLIT_LOSS ? p[i]! : (p[i]! - q[i]! * Math.exp(loss)) / shrink;
    const clamped = Math.min(Math.max(up, 0), p[i]!);
    mass[i]! += p[i]! - clamped;
    mass[i + 1]! += clamped;
  }
  return { ...grid, first, mass, infinite: range.above };
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
  if (atom === undefined) {
    const { p, q } = binMasses(pair, step, centred, bins);
    return { ...grid, first: bins.first, mass: contractToNodes(p, q, step, offset + bins.first * step), infinite: 0 };
  }
  const onLow = atom.side === "low";
  const outside = onLow
    ? { ...bins, first: 1, last: Math.max(1, bins.last), low: atom.outcome }
    : { ...bins, first: Math.min(-1, bins.first), last: -1, high: atom.outcome };
  const masses = binMasses(pair, step, centred, outside);
  const withAtom = (binned: Float64Array, mixture: Mixture) => {
    const mass = new Float64Array(binned.length + 1);
    mass.set(binned, onLow ? 1 : 0);
    mass[onLow ? 0 : binned.length] = endMass(mixture, pair.sigma, atom.side, atom.outcome);
    return mass;
  };
  const first = onLow ? 0 : outside.first;
  const [p, q] = [withAtom(masses.p, pair.p), withAtom(masses.q, pair.q)];
  return { step, offset, first, mass: contractToNodes(p, q, step, offset + first * step), infinite: 0 };
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
  return { step, offset, first, mass, infinite };
}

/** Nodes below a bin that it may be merged with; further ones have hardly anything left. */
const BORROW_REACH = 8;

/** What rounding makes of an excess of 0, relative to the bin's probability, with a margin. */
const ROUNDING = 1e-14;

/** P's mass at each node, after merging bins as {@link lowerTable} says; uses up its arguments. */
function contractToNodes(p: Float64Array, q: Float64Array, step: number, firstLoss: number): Float64Array {
  const mass = new Float64Array(p.length);
  for (let i = 0; i < p.length; i++) {
    const ratio = Math.exp(firstLoss + i * step);
    let excess = p[i]! - q[i]! * ratio;
    mass[i] = p[i]!;
    for (let j = i - 1; excess > 0 && j >= Math.max(0, i - BORROW_REACH); j--) {
      const distance = Math.expm1((i - j) * step);
      const borrowed = Math.min(excess / distance, mass[j]!);
      mass[j]! -= borrowed;
      mass[i]! += borrowed;
      excess -= borrowed * distance;
    }
    for (let j = i + 1; excess < 0 && j < p.length; j++) {
      const surplus = p[j]! - q[j]! * ratio;
      const share = surplus > 0 ? Math.min(-excess / surplus, 1) : 0;
      mass[i]! += share * p[j]!;
      p[j]! *= 1 - share;
      q[j]! *= 1 - share;
      excess = share < 1 && surplus > 0 ? 0 : excess + surplus * share;
    }
    if (excess < -ROUNDING * mass[i]!) {
      if (i > 0) mass[i - 1]! += mass[i]!;
      mass[i] = 0;
    }
  }
  return mass;
}
