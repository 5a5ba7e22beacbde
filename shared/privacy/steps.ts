import { type Accountant, epsilonOf } from "./accountant.ts";
import { deltaFaults, type GaussianRun, MAX_STEPS, refuseFaults, runFaults } from "./run.ts";

/** What the number of steps is sought for. */
export interface StepsTarget extends Pick<GaussianRun, "sampleRate" | "noiseMultiplier"> {
  readonly epsilon: number;
  readonly delta: number;
}

/** Relative width at which the search by PLD stops: its own accuracy. */
const TOLERANCE = { rdp: 0, pld: 1e-3 } as const;

/**
 * The most steps whose ε is at most the target's (by PLD up to 0.1 % fewer).
 * @returns them with their ε; 0 steps if already one is too much
 * @throws ProblemError for numbers out of range
 */
export function stepsFor(target: StepsTarget, accountant: Accountant): { steps: number; epsilon: number } {
  const { epsilon, delta, sampleRate, noiseMultiplier } = target;
  const epsilonFaults = epsilon > 0 ? [] : [{ at: "epsilon", message: `${epsilon} is not above 0` }];
  refuseFaults([...epsilonFaults, ...deltaFaults(delta), ...runFaults({ sampleRate, noiseMultiplier, steps: 1 })]);
  const epsilonAt = (steps: number) => epsilonOf([{ sampleRate, noiseMultiplier, steps }], delta, accountant);

  let [enough, tooMany] = [accountant === "pld" ? stepsFor(target, "rdp").steps : 0, 0];
  for (let next = Math.max(1, enough); tooMany === 0; next = Math.min(2 * next, MAX_STEPS)) {
    if (epsilonAt(next) > epsilon) tooMany = next;
    else if (next === MAX_STEPS) return { steps: next, epsilon: epsilonAt(next) };
    else enough = next;
  }
  while (tooMany - enough > Math.max(1, TOLERANCE[accountant] * enough)) {
    const middle = Math.floor((enough + tooMany) / 2);
    if (epsilonAt(middle) > epsilon) tooMany = middle;
    else enough = middle;
  }
  return { steps: enough, epsilon: enough === 0 ? 0 : epsilonAt(enough) };
}
