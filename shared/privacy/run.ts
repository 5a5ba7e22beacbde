import { type Fault, ProblemError } from "../protocol/errors.ts";

/**
 * Equal steps of DP-SGD: each takes every record with probability `sampleRate` (Poisson sampling), sums vectors of norm
 * at most C and adds Gaussian noise of standard deviation `noiseMultiplier`·C a coordinate.
 */
export interface GaussianRun {
  readonly sampleRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
}

/**
 * Below, a single step that a record takes part in has an ε of a hundred: no privacy, and accounting would take long. Above, the
 * losses are too small for double precision.
 */
export const NOISE_MULTIPLIER_RANGE = [0.1, 1e6] as const;
/** Far more than any tuning takes; up to here the accountants are checked against references. */
export const MAX_STEPS = 1e8;

/** What is wrong with a run's numbers; empty if the accountants can answer for it. */
export function runFaults({ sampleRate, noiseMultiplier, steps }: GaussianRun, at = ""): Fault[] {
  const faults: Fault[] = [];
  const [least, most] = NOISE_MULTIPLIER_RANGE;
  if (!(sampleRate > 0 && sampleRate <= 1)) {
    faults.push({ at: `${at}sampleRate`, message: `${sampleRate} is not a probability above 0` });
  }
  if (!(noiseMultiplier >= least && noiseMultiplier <= most)) {
    faults.push({ at: `${at}noiseMultiplier`, message: `${noiseMultiplier} is not between ${least} and ${most}` });
  }
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= MAX_STEPS)) {
    faults.push({ at: `${at}steps`, message: `${steps} is not a whole number from 1 to ${MAX_STEPS}` });
  }
  return faults;
}

/** What is wrong with a δ; empty for 0 < δ < 1. */
export function deltaFaults(delta: number): Fault[] {
  return delta > 0 && delta < 1 ? [] : [{ at: "delta", message: `${delta} is not between 0 and 1 (both excluded)` }];
}

/** @throws ProblemError with all faults, if there are any. */
export function refuseFaults(faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const detail = faults.map(({ at, message }) => `${at}: ${message}`).join("; ");
  throw new ProblemError("The privacy parameters are not valid", detail, { faults });
}
