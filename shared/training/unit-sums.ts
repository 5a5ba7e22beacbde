/** The sums that DP-SGD adds noise to where the unit of privacy has several rows: each drawn unit's mean gradient, clipped once. */
import { GRID_UNITS_PER_CLIP } from "../privacy/noise.ts";
import type { UnitSample } from "../privacy/sampler.ts";
import { type ClippedSums, ROUNDING_MARGIN, type SampleSum } from "./clipped-sums.ts";

/** Rows whose gradients are held at once, unless one unit has more: 2 MB each where a prompt has 100 rows of 4,096 numbers. */
const ROWS_HELD = 32;

/**
 * What a sample of units adds up to. A unit of one row is computed as an example is, bit for bit. Of several rows the gradients are added up in the order
 * of the data set, in double precision, so that a unit's vector is a function of its drawn rows alone.
 */
export async function unitSum(sums: ClippedSums, sample: UnitSample, clip: number): Promise<SampleSum> {
  const singles = sample.filter(({ length }) => length === 1).map((rows) => rows[0]!);
  const total = await sums.sampleSum(sums.chunksOf(singles));
  let { losses, leftOut } = total;
  for (const units of groupsOf(sample.filter(({ length }) => length > 1))) {
    const gradients = await sums.gradients(units.flatMap((rows) => [...rows]));
    losses += gradients.losses;
    leftOut += gradients.leftOut;
    for (const rows of units) {
      const vector = clippedMean(
        Array.from(rows, (row) => gradients.of.get(row)!),
        clip,
      );
      if (vector === undefined) leftOut++;
      else for (let i = 0; i < vector.length; i++) total.sum[i]! += vector[i]!;
    }
  }
  return { sum: total.sum, losses, leftOut };
}

/** Units of together at most {@link ROWS_HELD} rows, or one with more. */
function groupsOf(sample: UnitSample): UnitSample[] {
  const groups: Int32Array[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const rows of sample) {
    if (held + rows.length > ROWS_HELD) {
      groups.push([]);
      held = 0;
    }
    groups.at(-1)!.push(rows);
    held += rows.length;
  }
  return groups;
}

/**
 * The mean of gradients, clipped to a norm and put on the grid as single ones are: whole numbers of norm at most GRID_UNITS_PER_CLIP, checked in exact
 * arithmetic.
 * @param gradients `[rows][n]`, finite
 * @returns whole grid units `[n]`; undefined if by rounding they are too long
 */
export function clippedMean(gradients: readonly ArrayLike<number>[], clip: number): Float64Array | undefined {
  const mean = new Float64Array(gradients[0]!.length);
  for (const gradient of gradients) for (let i = 0; i < mean.length; i++) mean[i]! += gradient[i]!;
  let squares = 0;
  for (let i = 0; i < mean.length; i++) {
    mean[i]! /= gradients.length;
    squares += mean[i]! ** 2;
  }
  const scale = Math.min(
    GRID_UNITS_PER_CLIP / clip,
    (GRID_UNITS_PER_CLIP * (1 - ROUNDING_MARGIN)) / Math.sqrt(squares),
  );
  let exact = 0;
  for (let i = 0; i < mean.length; i++) {
    mean[i] = Math.trunc(mean[i]! * scale);
    exact += mean[i]! ** 2;
  }
  // Squares of whole numbers are exact up to 2^53, far beyond the limit, and beyond that still too large.
  return exact <= GRID_UNITS_PER_CLIP ** 2 ? mean : undefined;
}
