import type { Accountant } from "../privacy/accountant.ts";
import { createPlan, type PrivacyPlan } from "../privacy/plan.ts";
import { CLIP, proposedDelta, ROWS_PER_UNIT, type Schedule } from "./tune-defaults.ts";

/** What is said of a guarantee: ε or the noise, and whatever isn't to be the default. */
export interface Guarantee {
  readonly epsilon?: number | undefined;
  readonly noiseMultiplier?: number | undefined;
  readonly delta?: number | undefined;
  readonly clip?: number | undefined;
  /** The field whose values are to be protected, and not single rows. */
  readonly privacyUnit?: string | undefined;
  readonly rowsPerUnit?: number | undefined;
  readonly accountant?: Accountant | undefined;
}

/**
 * The plan of a private tuning.
 *
 * @param records N: rows, or units of privacy
 * @throws ProblemError as `createPlan`
 */
export function planFor(guarantee: Guarantee, records: number, { batchSize, steps }: Schedule): PrivacyPlan {
  const { epsilon, noiseMultiplier, delta = proposedDelta(records), clip = CLIP, accountant, privacyUnit } = guarantee;
  const unit = privacyUnit && { field: privacyUnit, rowsPerUnit: guarantee.rowsPerUnit ?? ROWS_PER_UNIT };
  return createPlan({
    records,
    batchSize,
    steps,
    clip,
    delta,
    epsilon,
    noiseMultiplier,
    accountant,
    unit: unit || undefined,
  });
}
