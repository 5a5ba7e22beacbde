import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { type PrivacyUnit, privacyUnitSchema } from "../protocol/privacy-unit.ts";
import { epsilonBounds } from "./accountant.ts";
import { deltaFaults, runFaults } from "./run.ts";
import type { Bounds } from "./solve.ts";
import { unitText, withOneUnit } from "./unit.ts";

/** One charge: a run that may have seen the data, whether its result was released or not. */
export const ledgerEntrySchema = z
  .strictObject({
    /** Names the run: a resumed run has the name that it started with. */
    runId: z.string().min(1).max(128),
    /** When the run was charged, ISO 8601. */
    time: z.iso.datetime(),
    sampleRate: z.number(),
    noiseMultiplier: z.number(),
    steps: z.number(),
    delta: z.number(),
    /** Whose data the run's guarantee is about; without it, one example's. */
    unit: privacyUnitSchema.optional(),
    /** What the run was for, in the user's own names; it counts for nothing and leaves this machine never. */
    note: z.strictObject({ out: z.string(), task: z.string(), model: z.string() }).optional(),
  })
  .superRefine((entry, context) => {
    for (const { at, message } of [...runFaults(entry), ...deltaFaults(entry.delta)]) {
      context.addIssue({ code: "custom", path: [at], message });
    }
  });

export type LedgerEntry = z.output<typeof ledgerEntrySchema>;

/** What may be spent on a data set in all: ε at a δ. */
export interface Budget {
  readonly epsilon: number;
  readonly delta: number;
}

/** A composed guarantee, and whose data it is about: the weakest unit of its runs, an example where they differ. */
export interface Composed extends Bounds {
  readonly unit: PrivacyUnit | undefined;
}

/** The ε of everything that was charged, composed, at a δ; 0 for nothing. */
export function composeEntries(entries: readonly LedgerEntry[], delta: number): Composed {
  const { unit, runs } = withOneUnit(entries);
  return { unit, ...(runs.length === 0 ? { lower: 0, upper: 0 } : epsilonBounds(runs, delta)) };
}

/**
 * Decides whether a run may start. A run that was charged before (the same name) is charged once.
 * @returns the entries with the new one, or the same ones if the run is in them already
 * @throws ProblemError if the entry is none that a ledger could be read with, if the composition would pass the budget, or if a charged run comes back with other parameters
 */
export function admit(entries: readonly LedgerEntry[], entry: LedgerEntry, budget?: Budget): readonly LedgerEntry[] {
  requireValid(entry);
  const earlier = entries.find(({ runId }) => runId === entry.runId);
  if (earlier !== undefined) {
    const changed = (["sampleRate", "noiseMultiplier", "steps", "delta", "unit"] as const).filter(
      (k) => JSON.stringify(earlier[k]) !== JSON.stringify(entry[k]),
    );
    if (changed.length === 0) return entries;
    const detail = `Run ${entry.runId} was charged with other values of ${changed.join(", ")}. Start a new run.`;
    throw new ProblemError("The run was charged with other parameters", detail, { status: 409 });
  }
  const after = [...entries, entry];
  if (budget !== undefined) {
    const { upper, unit } = composeEntries(after, budget.delta);
    if (upper > budget.epsilon) {
      const spent = composeEntries(entries, budget.delta).upper;
      const detail =
        `All runs on this data would compose to epsilon ${upper.toPrecision(4)} at delta ${budget.delta}; the budget is ` +
        `${budget.epsilon} and ${spent.toPrecision(4)} of it is spent (unit: ${unitText(unit)}). Take more noise or fewer steps, or raise the budget.`;
      throw new ProblemError("The privacy budget does not allow the run", detail, { status: 409 });
    }
  }
  return after;
}

function requireValid(entry: LedgerEntry): void {
  const { error } = ledgerEntrySchema.safeParse(entry);
  if (!error) return;
  const faults = error.issues.map(({ path, message }) => ({ at: path.join("/"), message }));
  const detail = `The ledger can't take it: ${faults.map(({ at, message }) => `${at}: ${message}`).join("; ")}. Start a new run.`;
  throw new ProblemError("The run can't be charged", detail, { faults });
}
