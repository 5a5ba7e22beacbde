import type { Fault } from "../protocol/errors.ts";
import { type PrivacyUnit, privacyUnitSchema } from "../protocol/privacy-unit.ts";
import { type Accountant, epsilonOf } from "./accountant.ts";
import { noiseFor } from "./calibrate.ts";
import { deltaFaults, refuseFaults, runFaults } from "./run.ts";

/**
 * Everything that a DP-SGD run's guarantee depends on, in one object. Tuning takes its numbers from here and from nowhere
 * else, so what is run is what was accounted.
 */
export interface PrivacyPlan {
  readonly sampler: "poisson";
  /** N, the number of records; public. */
  readonly records: number;
  /** B, the expected batch size: the fixed number by which noised sums are divided. */
  readonly batchSize: number;
  /** Exactly batchSize / records. */
  readonly sampleRate: number;
  /** Optimiser steps, those with an empty sample included. */
  readonly steps: number;
  /** C, the L2 norm that a record's gradient is clipped to. */
  readonly clip: number;
  /** σ: the noise's standard deviation a coordinate is σ·C. */
  readonly noiseMultiplier: number;
  readonly delta: number;
  /** Upper bound at `delta` by `accountant`. */
  readonly epsilon: number;
  readonly neighbouring: "add-or-remove-one";
  readonly accountant: Accountant;
  /** Whose data the guarantee is about: `records` and `batchSize` count these. Without it, a unit is one row. */
  readonly unit?: PrivacyUnit;
}

/** What a plan is made from: either the ε to reach or the noise to use. */
export interface PlanRequest {
  readonly records: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly clip: number;
  readonly delta: number;
  readonly epsilon?: number | undefined;
  readonly noiseMultiplier?: number | undefined;
  readonly accountant?: Accountant | undefined;
  readonly unit?: PrivacyUnit | undefined;
  /** Only Poisson sampling has an accountant; the name is here so that a caller who shuffles is told so. */
  readonly sampler?: string | undefined;
}

/** Largest N: an index is a 32-bit number. */
const MAX_RECORDS = 2 ** 31 - 1;

/** Numbers up to 1e-19 have squares that float32 may take for 0: a norm lacks less than a ten-thousandth of this one by that, were there a million of them. */
const SMALLEST_CLIP = 1e-12;
/** What a coordinate of a step's gradient may be at most, so that float32 holds its square, which optimisers need. */
const LARGEST_STEP = 1e18;
/** A drawn number is beyond so many standard deviations with a probability that nobody sees (1e-300). */
const MOST_DEVIATIONS = 38;

/** What is wrong with a clip norm for float32, given the noise. */
function clipFaults({
  records,
  batchSize,
  clip,
  noiseMultiplier,
}: Pick<PrivacyPlan, "records" | "batchSize" | "clip" | "noiseMultiplier">): Fault[] {
  const largest = (LARGEST_STEP * batchSize) / (records + MOST_DEVIATIONS * noiseMultiplier);
  if (clip >= SMALLEST_CLIP && clip <= largest) return [];
  const message = `float32 holds the gradients of this run for norms from ${SMALLEST_CLIP.toPrecision(2)} to ${largest.toPrecision(2)} only, not ${clip}`;
  return [{ at: "clip", message }];
}

/**
 * Couples all parameters of a private run and accounts it.
 * @throws ProblemError with every fault: what the accountant doesn't describe (another sampler, a fractional batch size), a δ
 * above 1/N (it would allow publishing a record outright), a clip norm that float32 can't compute with, or not exactly one of `epsilon` and `noiseMultiplier`
 */
export function createPlan(request: PlanRequest): PrivacyPlan {
  refuseFaults(requestFaults(request));
  const { records, batchSize, steps, clip, delta, accountant = "pld" } = request;
  const sampleRate = batchSize / records;
  const { noiseMultiplier, epsilon } =
    request.noiseMultiplier === undefined
      ? noiseFor({ epsilon: request.epsilon!, delta, sampleRate, steps }, accountant)
      : {
          noiseMultiplier: request.noiseMultiplier,
          epsilon: epsilonOf([{ sampleRate, steps, noiseMultiplier: request.noiseMultiplier }], delta, accountant),
        };
  refuseFaults(clipFaults({ records, batchSize, clip, noiseMultiplier }));
  return {
    sampler: "poisson",
    records,
    batchSize,
    sampleRate,
    steps,
    clip,
    noiseMultiplier,
    delta,
    epsilon,
    neighbouring: "add-or-remove-one",
    accountant,
    ...(request.unit !== undefined && { unit: request.unit }),
  };
}

function requestFaults(request: PlanRequest): Fault[] {
  const { records, batchSize, steps, clip, delta, epsilon, noiseMultiplier, sampler = "poisson" } = request;
  const faults: Fault[] = [];
  const refuse = (wrong: boolean, at: string, message: string) => {
    if (wrong) faults.push({ at, message });
  };
  refuse(
    sampler !== "poisson",
    "sampler",
    `the accountants describe Poisson sampling only, not "${sampler}": shuffled or fixed-size batches get no amplification`,
  );
  const validUnit = request.unit === undefined || privacyUnitSchema.safeParse(request.unit).success;
  refuse(!validUnit, "unit", "a unit has a field of 1 to 64 characters and at least one row");
  refuse(
    request.unit !== undefined && records === 1,
    "records",
    `all rows have one ${request.unit?.field}: with one unit only there is nobody to hide among`,
  );
  const wholeRecords = Number.isInteger(records) && records >= 1 && records <= MAX_RECORDS;
  refuse(!wholeRecords, "records", `${records} is not a whole number from 1 to ${MAX_RECORDS}`);
  const wholeBatch = Number.isInteger(batchSize) && batchSize >= 1;
  refuse(!wholeBatch, "batchSize", `${batchSize} is not a whole number of records, at least 1`);
  refuse(wholeBatch && batchSize > records, "batchSize", `${batchSize} is more than the ${records} there are`);
  refuse(!(clip > 0 && Number.isFinite(clip)), "clip", `${clip} is not a norm above 0`);
  refuse(
    delta > 1 / records,
    "delta",
    `${delta} is above 1/N = ${Number((1 / records).toPrecision(2))}, which would allow publishing a whole row`,
  );
  refuse(
    (epsilon === undefined) === (noiseMultiplier === undefined),
    "epsilon",
    "give either epsilon or noiseMultiplier, and not both",
  );
  refuse(epsilon !== undefined && !(epsilon > 0), "epsilon", `${epsilon} is not above 0`);
  const run = { sampleRate: 1, steps, noiseMultiplier: noiseMultiplier ?? 1 };
  return [...faults, ...runFaults(run), ...deltaFaults(delta)];
}
