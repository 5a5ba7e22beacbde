import { limitedEpsilonBounds } from "../../shared/privacy/accountant.ts";
import { verifyRecord } from "../../shared/privacy/statement.ts";
import { unitText, withOneUnit } from "../../shared/privacy/unit.ts";
import type { Fault } from "../../shared/protocol/errors.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";

/** Compositions that are remembered: a budget is looked at more often than it changes. */
const MAX_REMEMBERED = 1000;

const remembered = new Map<string, number>();

/**
 * For the unit that {@link composedUnit} names, epsilon at `delta` of releasing all the prompts of one data set together: heterogeneous composition of their runs, from
 * nothing but sample rate, noise and steps; an upper bound. The first time takes up to seconds, the next ones nothing.
 *
 * @param records one a different prompt; null for a prompt without differential privacy, which makes it Infinity
 */
export function composedEpsilon(records: readonly (PrivacyRecord | null)[], delta: number): number {
  if (records.length === 0) return 0;
  const runs = records.filter((record) => record !== null);
  if (runs.length < records.length) return Number.POSITIVE_INFINITY;
  const composed = withOneUnit(runs).runs;
  const key = JSON.stringify([delta, ...composed]);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const epsilon = limitedEpsilonBounds(composed, delta).upper;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(key, epsilon);
  return epsilon;
}

/** Whose data {@link composedEpsilon} is about: the unit of all records, the weakest one where they differ. */
export function composedUnit(records: readonly (PrivacyRecord | null)[]): string {
  return unitText(withOneUnit(records.filter((record) => record !== null)).unit);
}

/** What is wrong with a privacy record: its parts contradict each other, or the epsilon is not what they give. */
export function privacyFaults(record: PrivacyRecord, at: string): Fault[] {
  return verifyRecord(record).faults.map((fault) => ({ at: `${at}/${fault.at}`, message: fault.message }));
}
