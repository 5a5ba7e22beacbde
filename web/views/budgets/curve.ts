import { limitedEpsilonBounds } from "../../../shared/privacy/accountant.ts";
import { withOneUnit } from "../../../shared/privacy/unit.ts";
import type { ReleaseRecord } from "../../../shared/protocol/budget.ts";
import type { PrivacyRecord } from "../../../shared/protocol/manifest.ts";

/** Points of a curve: each takes tenths of a second. */
const MAX_POINTS = 12;

/** ε after some of a data set's releases, the oldest first; null where one of them is not private. */
export interface Point {
  readonly releases: number;
  readonly epsilon: number | null;
}

/**
 * The curve of ε over releases at a δ, and the ε after one more that is as the last one. The composition is that of the provider's ledger, from the
 * same records.
 *
 * @param onPoint called as they are found, so that a page can show them and stays responsive
 */
export async function epsilonCurve(
  releases: readonly ReleaseRecord[],
  delta: number,
  onPoint: (point: Point) => void,
  signal: AbortSignal,
): Promise<void> {
  const last = releases.at(-1)?.privacy;
  const records = [...releases.map(({ privacy }) => privacy), ...(last === undefined ? [] : [last])];
  for (const count of pointsOf(releases.length)) {
    // Between two points the page may answer.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return;
    onPoint({ releases: count, epsilon: composed(records.slice(0, count), delta) });
  }
}

/** Numbers of releases, spread evenly, with the last and one more. */
function pointsOf(count: number): number[] {
  const step = Math.max(1, Math.ceil(count / MAX_POINTS));
  const spread = Array.from({ length: Math.ceil(count / step) }, (_, index) => count - index * step).reverse();
  return [0, ...spread, count + 1];
}

function composed(records: readonly (PrivacyRecord | null)[], delta: number): number | null {
  const stated = records.filter((record) => record !== null);
  if (stated.length < records.length) return null;
  return records.length === 0 ? 0 : limitedEpsilonBounds(withOneUnit(stated).runs, delta).upper;
}
