import { type GaussianPair, lossAt, type Mixture } from "./dominating-pair.ts";
import { massBetween } from "./interval-mass.ts";

/** The grid that losses are put on: the whole multiples of `step`, moved by `offset`. */
export interface LossGrid {
  readonly step: number;
  readonly offset: number;
  /** If given, all outcomes up to here (side "low"), or from here on ("high"), have together the log-ratio `offset`. */
  readonly atom?: { readonly side: "low" | "high"; readonly outcome: number };
}

/** The range of outcomes that matters: above it lies at most `above` of P's probability. */
export interface OutcomeRange {
  readonly low: number;
  readonly high: number;
  readonly above: number;
}

/** Outcomes further than this many standard deviations on the harmless side have a probability below 1e-20. */
const LOW_REACH = 9.5;

/** @param tail the probability under P that may be cut off above (it counts as an infinite loss) */
export function outcomeRange(pair: GaussianPair, tail: number): OutcomeRange {
  const low = Math.min(...pair.p.means, ...pair.q.means) - LOW_REACH * pair.sigma;
  let high = Math.max(...pair.p.means);
  let above = 1;
  while (above > tail && above > 1e-300) {
    high += pair.sigma / 8;
    const { mass, error } = massBetween(pair.p, pair.sigma, high, Number.POSITIVE_INFINITY);
    above = mass + error;
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
  const { offset, atom } = low.p >= high.p ? low : high;
  return { step, offset, atom };
}

/** The end of the range whose losses are within a step of each other, and at most half a step from its log-ratio. */
function atomAt(side: "low" | "high", { sigma, p, q }: GaussianPair, step: number, range: OutcomeRange) {
  const beyond = (mixture: Mixture, outcome: number) => endMass(mixture, sigma, side, outcome).mass;
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

/** The probability of all outcomes up to one, or from one on, and how far rounding can have moved it. */
export function endMass(mixture: Mixture, sigma: number, side: "low" | "high", outcome: number) {
  return side === "low"
    ? massBetween(mixture, sigma, Number.NEGATIVE_INFINITY, outcome)
    : massBetween(mixture, sigma, outcome, Number.POSITIVE_INFINITY);
}
