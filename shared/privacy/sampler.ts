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
