import { epsilonOf } from "../../shared/privacy/accountant.ts";
import { createPlan } from "../../shared/privacy/plan.ts";
import { type Fault, ProblemError } from "../../shared/protocol/errors.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";

/** A stated epsilon may be rounded by this much below the one that we compute. */
const TOLERANCE = 1e-6;

/**
 * Epsilon at `delta` of releasing all the prompts of one data set together: heterogeneous composition of their runs, from
 * nothing but sample rate, noise and steps.
 *
 * @param records one a different prompt; null for a prompt without differential privacy, which makes it Infinity
 */
export function composedEpsilon(records: readonly (PrivacyRecord | null)[], delta: number): number {
  if (records.length === 0) return 0;
  const runs = records.filter((record) => record !== null);
  if (runs.length < records.length) return Number.POSITIVE_INFINITY;
  return epsilonOf(runs, delta, "rdp");
}

/** What is wrong with a privacy record: its parts contradict each other, or the epsilon is not what they give. */
export function privacyFaults(record: PrivacyRecord, at: string): Fault[] {
  const faults: Fault[] = [];
  try {
    const { epsilon, sampleRate } = createPlan({ ...record, epsilon: undefined, accountant: "rdp" });
    if (sampleRate !== record.sampleRate) {
      faults.push({
        at: `${at}/sampleRate`,
        message: `Is ${record.sampleRate}; batchSize / records is ${sampleRate}.`,
      });
    }
    if (record.epsilon < epsilon * (1 - TOLERANCE)) {
      faults.push({
        at: `${at}/epsilon`,
        message: `Says ${record.epsilon}; the run that it describes has ${epsilon}.`,
      });
    }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    faults.push(...error.faults.map((fault) => ({ at: `${at}/${fault.at}`, message: fault.message })));
  }
  return faults;
}
