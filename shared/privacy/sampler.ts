import { Draws, type RandomSource } from "../protocol/random.ts";

/**
 * A Poisson sample: every record independently with probability exactly batchSize / records. The probability is compared as a
 * fraction of whole numbers with random bits (see `Draws.bernoulli`), so no rounding changes it. A million records take about
 * one random byte each and some milliseconds.
 * @param records N, at most 2^31 − 1
 * @param batchSize B, the expected size, a whole number from 0 to N
 * @returns the sampled indices, ascending, `[size]`; possibly none
 */
export function poissonSample(records: number, batchSize: number, random: RandomSource): Int32Array<ArrayBuffer> {
  const draws = new Draws(random);
  const sample: number[] = [];
  for (let record = 0; record < records; record++) {
    if (draws.bernoulli(batchSize, records)) sample.push(record);
  }
  return Int32Array.from(sample);
}

/** A sample of units: the rows that stand for each drawn one. */
export type UnitSample = readonly Int32Array[];

/**
 * A Poisson sample of units, each with probability exactly batchSize / units, and of each drawn one a uniform subset of `most` of its rows, drawn anew each
 * time; all of them where it has no more. No randomness is used where there is nothing to choose.
 * @param units the rows of each unit, ascending
 * @returns the rows of each drawn unit, ascending
 */
export function poissonSampleOfUnits(
  units: readonly (readonly number[])[],
  batchSize: number,
  most: number,
  random: RandomSource,
): UnitSample {
  const drawn = poissonSample(units.length, batchSize, random);
  const draws = new Draws(random);
  return Array.from(drawn, (unit) => subset(units[unit]!, most, draws));
}

/** A uniform subset (Floyd's algorithm: Bentley and Floyd 1987, "A sample of brilliance"). */
function subset(rows: readonly number[], most: number, draws: Draws): Int32Array {
  if (rows.length <= most) return Int32Array.from(rows);
  const chosen = new Set<number>();
  for (let last = rows.length - most; last < rows.length; last++) {
    const drawn = draws.integer(last + 1);
    chosen.add(chosen.has(drawn) ? last : drawn);
  }
  return Int32Array.from(chosen, (i) => rows[i]!).sort();
}
