import type { RandomSource } from "../protocol/random.ts";
import { discreteGaussianSampler } from "./discrete-gaussian.ts";

/**
 * The clip norm in grid units: per-example gradients are multiplied by GRID_UNITS_PER_CLIP / C and truncated toward zero to
 * whole numbers, which never lengthens them. So a record moves the sum by a whole vector of norm at most GRID_UNITS_PER_CLIP.
 */
export const GRID_UNITS_PER_CLIP = 2 ** 20;

/**
 * What the discrete Gaussian is wider than the continuous one that the accountant assumes: σ² + 9 grid units². Drawing
 * x ~ N(v, σ²) and then y from the discrete Gaussian of variance parameter 9 around x gives the discrete Gaussian of
 * σ² + 9 around v, up to a factor 1 ± 4e^(-18π²) = 1 ± 1e-76 (Poisson summation). The noise that is added is therefore a
 * post-processing of the accountant's continuous noise, in any number of dimensions and after any subsampling.
 */
const DISCRETE_EXCESS_VARIANCE = 9;

/** The discrete Gaussian's parameter, in grid units, that is at least as private as noise N(0, (noiseMultiplier·C)²). */
export function gridSigma(noiseMultiplier: number): number {
  return Math.sqrt((noiseMultiplier * GRID_UNITS_PER_CLIP) ** 2 + DISCRETE_EXCESS_VARIANCE);
}

/**
 * Adds discrete Gaussian noise to an exact sum of clipped gradients.
 * @param sum whole numbers in grid units, `[n]`; unchanged
 * @returns the noised sum in grid units, `[n]`: whole numbers, exact below 2^53. It may be released, and anything computed from it.
 * @throws RangeError if a number of the sum is not whole or too large to be exact
 */
export function addNoise(
  sum: ArrayLike<number>,
  noiseMultiplier: number,
  random: RandomSource,
): Float64Array<ArrayBuffer> {
  const draw = discreteGaussianSampler(gridSigma(noiseMultiplier), random);
  return Float64Array.from(sum, (value) => {
    if (!Number.isSafeInteger(value))
      throw new RangeError(`${value} in a sum of gradients is not an exact whole number`);
    return value + draw();
  });
}
