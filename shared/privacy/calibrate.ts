import { ProblemError } from "../protocol/errors.ts";
import { type Accountant, epsilonOf } from "./accountant.ts";
import { deltaFaults, type GaussianRun, NOISE_MULTIPLIER_RANGE, refuseFaults, runFaults } from "./run.ts";

/** What the noise is sought for. */
export interface Target {
  readonly epsilon: number;
  readonly delta: number;
  readonly sampleRate: number;
  readonly steps: number;
}

/** Relative width at which the search for σ stops: below each accountant's own accuracy. */
const TOLERANCE = { rdp: 1e-6, pld: 1e-4 } as const;
/** The exact σ is rarely smaller than this share of RDP's. */
const USUAL_GAIN = 0.88;

/**
 * The smallest noise multiplier (to 1e-6 by RDP, 1e-4 by PLD) whose ε for the target's steps, sample rate and δ is at most the target's.
 * @returns it with its ε, which is never above the target
 * @throws ProblemError for numbers out of range, and if no noise within `NOISE_MULTIPLIER_RANGE` gives so small an ε
 */
export function noiseFor(target: Target, accountant: Accountant): { noiseMultiplier: number; epsilon: number } {
  const { epsilon, delta, sampleRate, steps } = target;
  const [least, most] = NOISE_MULTIPLIER_RANGE;
  const epsilonFaults = epsilon > 0 ? [] : [{ at: "epsilon", message: `${epsilon} is not above 0` }];
  refuseFaults([...epsilonFaults, ...deltaFaults(delta), ...runFaults({ sampleRate, steps, noiseMultiplier: 1 })]);
  const at = (noiseMultiplier: number) => {
    const run: GaussianRun = { sampleRate, steps, noiseMultiplier };
    return { noiseMultiplier, epsilon: epsilonOf([run], delta, accountant) };
  };

  // RDP's answer is instant and an upper bound.
  const start = accountant === "rdp" ? 1 : noiseFor(target, "rdp").noiseMultiplier;
  const ratio = accountant === "rdp" ? 2 : 1 / USUAL_GAIN;
  let enough = at(start);
  let tooLittle = enough;
  while (enough.epsilon > epsilon && enough.noiseMultiplier < most) {
    tooLittle = enough;
    enough = at(Math.min(enough.noiseMultiplier * ratio, most));
  }
  if (enough.epsilon > epsilon) {
    const detail = `No noise multiplier up to ${most} reaches epsilon ${epsilon} at delta ${delta} in ${steps} steps. Raise epsilon.`;
    throw new ProblemError("The privacy target can't be reached", detail);
  }
  while (tooLittle.epsilon <= epsilon && tooLittle.noiseMultiplier > least) {
    enough = tooLittle;
    tooLittle = at(Math.max(enough.noiseMultiplier / ratio, least));
  }
  if (tooLittle.epsilon <= epsilon) return tooLittle;
  return searchNoise(at, enough, tooLittle, epsilon, TOLERANCE[accountant]);
}

type Point = { noiseMultiplier: number; epsilon: number };

/**
 * Regula falsi on log ε against log σ, which is nearly a straight line, with the Illinois rule (halve the weight of an end
 * that stays). Few evaluations, since one may take a second.
 */
function searchNoise(
  at: (noise: number) => Point,
  enough: Point,
  tooLittle: Point,
  epsilon: number,
  tolerance: number,
): Point {
  const height = (point: Point) => Math.log(Math.max(point.epsilon, 1e-12) / epsilon);
  let [x0, y0] = [Math.log(tooLittle.noiseMultiplier), height(tooLittle)];
  let [x1, y1] = [Math.log(enough.noiseMultiplier), height(enough)];
  while (x1 - x0 > tolerance) {
    const straight = y0 - y1 > 0 ? (x1 * y0 - x0 * y1) / (y0 - y1) : (x0 + x1) / 2;
    // Half a tolerance toward the safe side: then the next step on the other side closes the bracket.
    const middle = Math.min(Math.max(straight + tolerance / 2, x0 + tolerance / 2), x1 - tolerance / 2);
    const point = at(Math.exp(middle));
    if (point.epsilon <= epsilon) {
      enough = point;
      [x1, y1, y0] = [middle, height(point), y0 / 2];
    } else {
      [x0, y0, y1] = [middle, height(point), y1 / 2];
    }
  }
  return enough;
}
