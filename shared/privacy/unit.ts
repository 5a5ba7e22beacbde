import type { PrivacyUnit } from "../protocol/privacy-unit.ts";
import type { NeighbouringRun } from "./accountant.ts";
import type { GaussianRun } from "./run.ts";

/** What a guarantee is about where nothing else is said. */
export const EXAMPLE = "one row";

/** A unit's name, for people: "one row", or "all rows of one user". */
export function unitText(unit: PrivacyUnit | undefined): string {
  return unit === undefined ? EXAMPLE : `all rows of one ${unit.field}`;
}

/** A run, and whose data its guarantee is about. */
export interface UnitRun extends GaussianRun {
  readonly unit?: PrivacyUnit | undefined;
}

/** Runs as they are to be composed. */
export interface SameUnit {
  /** Whose data the composed guarantee is about. */
  readonly unit: PrivacyUnit | undefined;
  readonly runs: readonly NeighbouringRun[];
}

/**
 * Runs on one data set as a composition about one unit. If all are about the same field, that is it. Else only the weakest remains: the example. One example
 * more or less changes what its unit contributes from one vector of norm at most C to another, so a run about larger units counts for an example as
 * replace-one does, with twice the sensitivity.
 */
export function withOneUnit(runs: readonly UnitRun[]): SameUnit {
  const [first] = runs;
  const plain = ({ sampleRate, noiseMultiplier, steps }: UnitRun) => ({ sampleRate, noiseMultiplier, steps });
  if (runs.every(({ unit }) => unit?.field === first?.unit?.field)) return { unit: first?.unit, runs: runs.map(plain) };
  return {
    unit: undefined,
    runs: runs.map((run) =>
      run.unit === undefined ? plain(run) : { ...plain(run), neighbouring: "replace-one" as const },
    ),
  };
}
