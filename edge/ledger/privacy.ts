import { limitedEpsilonBounds, type NeighbouringRun } from "../../shared/privacy/accountant.ts";
import {
  decodeComposition,
  emptyComposition,
  encodeComposition,
  type RunningComposition,
  runningEpsilon,
  withRun,
} from "../../shared/privacy/running-composition.ts";
import { unitText, withOneUnit } from "../../shared/privacy/unit.ts";
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
  /** Whether it is about the weakest unit, as it is where units differ. */
  readonly weakest: boolean;
  /** Up to which release it goes. */
  readonly through: number;
  readonly bytes: Uint8Array;
}

/** Where a data set's compositions are kept. */
export interface Keeper {
  kept(weakest: boolean): KeptComposition | undefined;
  keep(composition: KeptComposition): void;
}

/**
 * Epsilon at `delta` of releasing all the prompts of one data set together, for the unit that {@link composedUnit} names: heterogeneous
 * composition of their runs, from nothing but sample rate, noise and steps; an upper bound.
 *
 * @param releases of different prompts, in the order of their rows
 * @param more one that would be released beside them; null if it isn't private
 * @returns Infinity if one isn't private
 */
export function composedEpsilon(
  releases: readonly Released[],
  delta: number,
  more?: PrivacyRecord | null,
  keeper: Keeper = { kept: () => undefined, keep: () => {} },
): number {
  const records = [...releases.map(({ privacy }) => privacy), ...(more === undefined ? [] : [more])];
  if (records.length === 0) return 0;
  const stated = records.filter((record) => record !== null);
  if (stated.length < records.length) return Number.POSITIVE_INFINITY;
  const { runs } = withOneUnit(stated);
  const merged = oneOfEach(runs);
  if (merged.length <= FEW) return composedAtOnce(merged, delta);
  const released = releases.map(({ row }, i) => ({ row, run: runs[i]! }));
  const composition = caughtUp(released, runs.some(isReplaced), keeper);
  return runningEpsilon(more ? withRun(composition, runs.at(-1)!) : composition, delta);
}

/** Whose data {@link composedEpsilon} is about: the unit of all records, the weakest one where they differ. */
export function composedUnit(records: readonly (PrivacyRecord | null)[]): string {
  return unitText(withOneUnit(records.filter((record) => record !== null)).unit);
}

const isReplaced = ({ neighbouring }: NeighbouringRun) => neighbouring === "replace-one";

/** Runs that differ in their steps only are one run of all their steps: work and what is remembered don't grow with their number. */
function oneOfEach(runs: readonly NeighbouringRun[]): NeighbouringRun[] {
  const merged = new Map<string, NeighbouringRun>();
  for (const { sampleRate, noiseMultiplier, steps, neighbouring } of runs) {
    const key = `${sampleRate} ${noiseMultiplier} ${neighbouring}`;
    const before = merged.get(key)?.steps ?? 0;
    merged.set(key, { sampleRate, noiseMultiplier, steps: before + steps, ...(neighbouring && { neighbouring }) });
  }
  return [...merged.values()];
}

function composedAtOnce(runs: readonly NeighbouringRun[], delta: number): number {
  const key = JSON.stringify([delta, ...runs]);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const epsilon = limitedEpsilonBounds(runs, delta).upper;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(key, epsilon);
  return epsilon;
}

/** The composition of all releases, from what was kept of the first of them. */
function caughtUp(
  releases: readonly { readonly row: number; readonly run: NeighbouringRun }[],
  weakest: boolean,
  keeper: Keeper,
): RunningComposition {
  const kept = keeper.kept(weakest);
  const before = kept && decodeComposition(kept.bytes);
  const through = before ? kept.through : Number.NEGATIVE_INFINITY;
  const missing = releases.filter(({ row }) => row > through);
  const composition = missing.reduce((sum, { run }) => withRun(sum, run), before ?? emptyComposition());
  const last = missing.at(-1);
  if (last) keeper.keep({ weakest, through: last.row, bytes: encodeComposition(composition) });
  return composition;
}
