import { limitedEpsilonBounds } from "../../shared/privacy/accountant.ts";
import {
  decodeComposition,
  emptyComposition,
  encodeComposition,
  type RunningComposition,
  runningEpsilon,
  withRun,
} from "../../shared/privacy/running-composition.ts";
import { verifyRecord } from "../../shared/privacy/statement.ts";
import type { Fault } from "../../shared/protocol/errors.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";

/** Compositions that are remembered: a budget is looked at more often than it changes. */
const MAX_REMEMBERED = 1000;
/** Up to so many different runs are composed at once, which is a little tighter; what that takes grows with their number. */
const FEW = 4;

const remembered = new Map<string, number>();

/** A prompt that was released, or would be. */
export interface Released {
  /** Grows from one release of a data set to the next. */
  readonly row: number;
  /** Null for a prompt without differential privacy. */
  readonly privacy: PrivacyRecord | null;
}

/** What a ledger keeps of the releases of one data set, so that one more release costs one release. */
export interface KeptComposition {
  /** Up to which release it goes. */
  readonly through: number;
  readonly bytes: Uint8Array;
}

/**
 * Epsilon at `delta` of releasing all the prompts of one data set together: heterogeneous composition of their runs, from
 * nothing but sample rate, noise and steps; an upper bound.
 *
 * @param releases of different prompts, in the order of their rows
 * @param more one that would be released beside them; null if it isn't private
 * @param kept of these releases, if anything is
 * @param keep takes what is to be kept from now on
 * @returns Infinity if one isn't private
 */
export function composedEpsilon(
  releases: readonly Released[],
  delta: number,
  more?: PrivacyRecord | null,
  kept?: KeptComposition,
  keep: (composition: KeptComposition) => void = () => {},
): number {
  const records = [...releases.map(({ privacy }) => privacy), ...(more === undefined ? [] : [more])];
  if (records.length === 0) return 0;
  const runs = records.filter((record) => record !== null);
  if (runs.length < records.length) return Number.POSITIVE_INFINITY;
  const settings = runs.map(({ sampleRate, noiseMultiplier }) => `${sampleRate} ${noiseMultiplier}`);
  if (new Set(settings).size <= FEW) return composedAtOnce(runs, delta);
  const composition = caughtUp(releases, kept, keep);
  return runningEpsilon(more ? withRun(composition, more) : composition, delta);
}

function composedAtOnce(runs: readonly PrivacyRecord[], delta: number): number {
  const key = JSON.stringify([delta, ...runs.map((run) => [run.sampleRate, run.noiseMultiplier, run.steps])]);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const epsilon = limitedEpsilonBounds(runs, delta).upper;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(key, epsilon);
  return epsilon;
}

/** The composition of all releases, from what was kept of the first of them. */
function caughtUp(
  releases: readonly Released[],
  kept: KeptComposition | undefined,
  keep: (composition: KeptComposition) => void,
): RunningComposition {
  const before = kept && decodeComposition(kept.bytes);
  const through = before ? kept.through : Number.NEGATIVE_INFINITY;
  const missing = releases.filter(({ row }) => row > through);
  const composition = missing.reduce((sum, { privacy }) => withRun(sum, privacy!), before ?? emptyComposition());
  const last = missing.at(-1);
  if (last) keep({ through: last.row, bytes: encodeComposition(composition) });
  return composition;
}

/** What is wrong with a privacy record: its parts contradict each other, or the epsilon is not what they give. */
export function privacyFaults(record: PrivacyRecord, at: string): Fault[] {
  return verifyRecord(record).faults.map((fault) => ({ at: `${at}/${fault.at}`, message: fault.message }));
}
