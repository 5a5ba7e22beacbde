import { binomialMasses } from "./binomial.ts";
import { normalCdf } from "./normal.ts";
import { smallestPositiveThat } from "./solve.ts";

/** What an audit in one run saw. */
export interface OneRunAudit {
  /** m: canaries, each of them in the training data with probability 1/2, independently. */
  readonly canaries: number;
  /** r: canaries for which the auditor guessed whether they were in; for the others it abstained. */
  readonly guesses: number;
  /** v: guesses that were right. */
  readonly right: number;
}

/** The confidence of an audit's lower bound that is usual. */
export const CONFIDENCE = 0.95;

/**
 * A lower bound on ε that holds with a confidence: were the training (ε, δ)-private with a smaller ε, so many right guesses would be
 * less probable than 1 − confidence (Steinke, Nasr and Jagielski 2023, "Privacy auditing with one training run", their main theorem).
 * @returns 0 if the guesses show nothing
 */
export function auditedEpsilon(audit: OneRunAudit, delta: number, confidence = CONFIDENCE): number {
  const consistent = (epsilon: number) => pValue(audit, epsilon, delta) >= 1 - confidence;
  return consistent(0) ? 0 : smallestPositiveThat(consistent, 1, 1e-12);
}

/**
 * The largest probability of at least `right` right guesses that an (ε, δ)-private training allows:
 * P[B ≥ v] + 2mδ·max_i P[v > B ≥ v − i]/i for B ~ Binomial(r, e^ε/(1 + e^ε)).
 */
function pValue({ canaries, guesses, right }: OneRunAudit, epsilon: number, delta: number): number {
  // A guess is right with probability 1/(1 + e^(−ε)).
  const logRight = -Math.log1p(Math.exp(-epsilon));
  const masses = binomialMasses(guesses, logRight, logRight - epsilon);
  let atLeast = 0;
  for (let i = right; i <= guesses; i++) atLeast += masses[i]!;
  let [below, steepest] = [0, 0];
  for (let i = 1; i <= right; i++) {
    below += masses[right - i]!;
    steepest = Math.max(steepest, below / i);
  }
  return Math.min(1, atLeast + 2 * canaries * delta * steepest);
}

/** A membership score (higher: rather a member) and the truth. */
export interface Scored {
  readonly score: number;
  readonly member: boolean;
}

/** Guesses "in" for the `guesses`/2 highest scores and "out" for as many lowest, and counts the right ones. */
export function guessExtremes(scored: readonly Scored[], guesses: number): OneRunAudit {
  const each = Math.floor(Math.min(guesses, scored.length) / 2);
  const sorted = scored.toSorted((a, b) => b.score - a.score);
  const right =
    sorted.slice(0, each).filter(({ member }) => member).length +
    sorted.slice(sorted.length - each).filter(({ member }) => !member).length;
  return { canaries: scored.length, guesses: 2 * each, right };
}

/**
 * Guesses "out" for the `guesses` lowest scores and abstains on all others. Stronger than {@link guessExtremes} against a
 * training that learns every row by heart: then a low score is a sure sign, while a high one may be luck.
 */
export function guessLowest(scored: readonly Scored[], guesses: number): OneRunAudit {
  const lowest = scored.toSorted((a, b) => a.score - b.score).slice(0, guesses);
  return { canaries: scored.length, guesses: lowest.length, right: lowest.filter(({ member }) => !member).length };
}

/**
 * The better of the bounds by {@link guessExtremes} and {@link guessLowest}. The rules are fixed before the scores are seen, and each
 * bound holds with half of the usual doubt, so the better one holds with the usual confidence.
 */
export function bestAudit(
  scored: readonly Scored[],
  guesses: number,
  delta: number,
): OneRunAudit & { epsilon: number } {
  const confidence = 1 - (1 - CONFIDENCE) / 2;
  const audits = [guessExtremes(scored, guesses), guessLowest(scored, guesses)].map((audit) => ({
    ...audit,
    epsilon: auditedEpsilon(audit, delta, confidence),
  }));
  return audits.reduce((best, audit) => (audit.epsilon > best.epsilon ? audit : best));
}

/** A point of a receiver operating characteristic. */
export interface RocPoint {
  readonly falsePositiveRate: number;
  readonly truePositiveRate: number;
}

/** The curve of a membership attack, from (0, 0) to (1, 1): one point for every distinct score as a threshold. */
export function rocCurve(scored: readonly Scored[]): RocPoint[] {
  const members = scored.filter(({ member }) => member).length;
  const others = scored.length - members;
  const sorted = scored.toSorted((a, b) => b.score - a.score);
  const curve: RocPoint[] = [{ falsePositiveRate: 0, truePositiveRate: 0 }];
  let [found, wrong] = [0, 0];
  for (const [i, { score, member }] of sorted.entries()) {
    if (member) found++;
    else wrong++;
    const tied = sorted[i + 1]?.score === score;
    if (!tied) curve.push({ falsePositiveRate: wrong / others, truePositiveRate: found / members });
  }
  return curve;
}

/** Area under the curve, by trapezia: 0.5 is guessing. */
export function areaUnder(curve: readonly RocPoint[]): number {
  return curve.slice(1).reduce((area, point, i) => {
    const before = curve[i]!;
    const height = (point.truePositiveRate + before.truePositiveRate) / 2;
    return area + (point.falsePositiveRate - before.falsePositiveRate) * height;
  }, 0);
}

/** The highest true-positive rate with at most so many false positives. */
export function truePositiveRateAt(curve: readonly RocPoint[], falsePositiveRate: number): number {
  const allowed = curve.filter((point) => point.falsePositiveRate <= falsePositiveRate);
  return Math.max(...allowed.map((point) => point.truePositiveRate));
}

/**
 * Likelihood-ratio attack (LiRA, online, with one variance for all; Carlini et al. 2022, Algorithm 1). Every model is
 * attacked once with all others as shadows: for every example two normal distributions are fitted to the others' confidences with and
 * without it, and the score is the log-ratio of their densities at the attacked model's own.
 * @param confidences `[models][examples]`, log(p/(1 − p)) of the right label
 * @param members `[models][examples]`, whether the model was trained on the example
 * @returns the scores of all models and examples that have shadows of both kinds
 */
export function liraScores(
  confidences: readonly ArrayLike<number>[],
  members: readonly (readonly boolean[])[],
): Scored[] {
  const fits = members.map((_, target) => fitShadows(confidences, members, target));
  return fits.flatMap(({ means, variance }, target) =>
    means.flatMap(({ inside, outside }, example): Scored[] => {
      if (inside === undefined || outside === undefined) return [];
      const confidence = confidences[target]![example]!;
      const score = ((confidence - outside) ** 2 - (confidence - inside) ** 2) / (2 * variance);
      return [{ score, member: members[target]![example]! }];
    }),
  );
}

/** The mean confidences of every example with and without it, over all models but one, and the variance around them. */
function fitShadows(
  confidences: readonly ArrayLike<number>[],
  members: readonly (readonly boolean[])[],
  target: number,
) {
  const shadows = members.map((_, model) => model).filter((model) => model !== target);
  let [squares, freedom] = [0, 0];
  const meanOf = (example: number, member: boolean) => {
    const values = shadows.filter((s) => members[s]![example] === member).map((s) => confidences[s]![example]!);
    if (values.length === 0) return undefined;
    const mean = values.reduce((a, b) => a + b) / values.length;
    squares += values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    freedom += values.length - 1;
    return mean;
  };
  const means = members[target]!.map((_, example) => ({
    inside: meanOf(example, true),
    outside: meanOf(example, false),
  }));
  return { means, variance: freedom > 0 && squares > 0 ? squares / freedom : 1 };
}

/** The probability of a curve's area at least this far from 1/2 by chance (Mann-Whitney, normal approximation). */
export function chanceOfArea(area: number, members: number, others: number): number {
  const deviation = Math.sqrt((members + others + 1) / (12 * members * others));
  return 2 * normalCdf(-Math.abs(area - 0.5) / deviation);
}
