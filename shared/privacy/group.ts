import { limitedGroupEpsilon } from "./accountant.ts";
import type { GaussianRun } from "./run.ts";

/** The sizes of groups that statements speak of. */
const GROUPS = [2, 5, 10] as const;

/** What an example-level guarantee means for somebody with several rows. */
export interface GroupFigure {
  readonly group: number;
  /** Upper bound at the run's δ; null where none was found. */
  readonly epsilon: number | null;
}

/** The ε for somebody who has 2, 5 or 10 of the units, from the loss distribution of the whole group (not k·ε) and at the run's δ. */
export function groupFigures(run: GaussianRun & { readonly delta: number }): GroupFigure[] {
  return GROUPS.map((group) => {
    const epsilon = limitedGroupEpsilon(run, group, run.delta);
    return { group, epsilon: Number.isFinite(epsilon) ? epsilon : null };
  });
}
