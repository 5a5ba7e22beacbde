import type { Accountant } from "../privacy/accountant.ts";
import { createPlan, type PrivacyPlan } from "../privacy/plan.ts";
import { proposedDelta, type Schedule } from "./tune-defaults.ts";

/** The paper's prompts have 100 rows (POST, table 10). */
export const PROMPT_TOKENS = 100;
/** The reference implementation's clip norm. */
export const CLIP = 1;
/** Most rows of a unit in a step, unless told. */
export const ROWS_PER_UNIT = 4;

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
