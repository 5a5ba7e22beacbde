import { binomialTail } from "./binomial.ts";
import { type Branch, neighbouringPairs } from "./dominating-pair.ts";

/** Weights and rate are taken larger by so much, relative: binomial tails are exact to 1e-13. More mass and a higher rate only raise ε. */
const TAIL_ERROR = 1e-11;

/** Poisson sampling whose samples are cut, at random, to a largest size. */
export interface Truncation {
  /** N, the number of records. */
  readonly records: number;
  /** B, the most records in a batch. */
  readonly largestBatch: number;
}

/**
 * The cases of one step of truncated Poisson sampling, a list a direction, for add-or-remove-one neighbours (after
 * Ganesh 2025, arXiv 2508.15089). Let K ~ Binomial(N − 1, q) others be sampled; K is the same with and without the record.
 *
 * K < B: nothing is cut, and the record takes part with probability q: the usual pair.
 *
 * K ≥ B: without the record the batch is T, B of the K others. With it, it takes part with probability q·B/(K + 1), and
 * then stands in the place of a random one of T: the sum moves by a vector of norm at most 2. T is uniform among all sets of B others
 * whatever K is, so K may be averaged: a pair with sensitivity 2 and the rate E[q·B/(K + 1) | K ≥ B], which is
 * (B/N)·P[Binomial(N, q) > B] / P[K ≥ B].
 *
 * Telling the observer which case it was only helps him.
 */
export function truncatedBranches(sampleRate: number, noiseMultiplier: number, truncation: Truncation): Branch[][] {
  const { records, largestBatch } = truncation;
  const usual = neighbouringPairs(sampleRate, noiseMultiplier, "add-or-remove-one");
  const cut = sampleRate < 1 ? binomialTail(records - 1, sampleRate, largestBatch) : Number(largestBatch < records);
  if (cut === 0) return usual.map((pair) => [{ weight: 1, pair }]);
  const sampledAndCut = sampleRate < 1 ? binomialTail(records, sampleRate, largestBatch + 1) : 1;
  const rate = Math.min(1, ((largestBatch / records) * sampledAndCut * (1 + TAIL_ERROR)) / cut);
  const replaced = neighbouringPairs(rate, noiseMultiplier / 2, "add-or-remove-one");
  return usual.map((pair, i) => {
    const branches = [
      { weight: (1 - cut) * (1 + TAIL_ERROR), pair },
      { weight: cut * (1 + TAIL_ERROR), pair: replaced[i]! },
    ];
    return branches.filter(({ weight }) => weight > 0).sort((a, b) => b.weight - a.weight);
  });
}
