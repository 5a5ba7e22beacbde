import type { Guarantee } from "../shared/operations/tune-plan.ts";

/** Options of a private tuning as they are given together. */
interface GivenGuarantee extends Guarantee {
  readonly budgetEpsilon?: number | undefined;
  readonly dataset?: string | undefined;
  readonly shuffle?: boolean | undefined;
  readonly publicStart?: boolean | undefined;
}

/** Who gives one of these expects a guarantee. */
const ONLY_PRIVATE = ["delta", "clip", "privacyUnit", "accountant", "budgetEpsilon", "dataset", "publicStart"] as const;

/**
 * What is given without what it needs, or against it, in one sentence: a run must not be without privacy because one option of several was forgotten.
 * @param nameOf how the user writes an option
 */
export function guaranteeFault(
  options: GivenGuarantee,
  nameOf: (option: keyof GivenGuarantee) => string,
): string | undefined {
  if (options.rowsPerUnit !== undefined && options.privacyUnit === undefined)
    return `${nameOf("rowsPerUnit")} needs ${nameOf("privacyUnit")}`;
  if (options.epsilon !== undefined || options.noiseMultiplier !== undefined) {
    if (options.shuffle !== false) return undefined;
    return `${nameOf("shuffle")} contradicts the random sampling of differential privacy`;
  }
  const lonely = ONLY_PRIVATE.find((option) => options[option] !== undefined);
  return lonely && `${nameOf(lonely)} needs ${nameOf("epsilon")} or ${nameOf("noiseMultiplier")}`;
}

/** Options of an audit that were given, as the command line calls them. δ where nothing but a guarantee has one: the bound of a one-run audit does, too. */
export interface GivenAudit
  extends Pick<Guarantee, "noiseMultiplier" | "privacyUnit" | "rowsPerUnit" | "clip" | "delta"> {
  readonly withoutNoise?: boolean | undefined;
}

/** The same of an audit: what would be ignored would be audited as if it were there. */
export function auditFault(given: GivenAudit): string | undefined {
  if (given.rowsPerUnit !== undefined && given.privacyUnit === undefined) return "--rows-per-unit needs --privacy-unit";
  if (given.noiseMultiplier !== undefined) return undefined;
  const lonely = Object.entries({
    "--without-noise": given.withoutNoise,
    "--rows-per-unit": given.rowsPerUnit,
    "--clip": given.clip,
    "--delta": given.delta,
  }).find(([, value]) => value !== undefined);
  return lonely && `${lonely[0]} needs --noise-multiplier`;
}
