/** `softpost/privacy`: accountants, statements and audits of differential privacy. Runs in browsers. */
export {
  ACCOUNTANTS,
  type Accountant,
  deltaBounds,
  deltaOf,
  epsilonBounds,
  epsilonOf,
  groupEpsilonBounds,
} from "../shared/privacy/accountant.ts";
export { auditedEpsilon, type OneRunAudit } from "../shared/privacy/audit.ts";
export { noiseFor, type Target } from "../shared/privacy/calibrate.ts";
export { gaussianDelta, gaussianEpsilonBounds, gaussianNoise } from "../shared/privacy/gaussian.ts";
export { admit, type Budget, type Composed, composeEntries, type LedgerEntry } from "../shared/privacy/ledger.ts";
export { createPlan, type PlanRequest, type PrivacyPlan } from "../shared/privacy/plan.ts";
export type { GaussianRun } from "../shared/privacy/run.ts";
export {
  type AttackFigure,
  attackFigures,
  explainPrivacy,
  type Verification,
  verifyRecord,
} from "../shared/privacy/statement.ts";
export type { PrivacyRecord } from "../shared/protocol/manifest.ts";
