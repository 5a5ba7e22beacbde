/** How well a prompt travelled: the target with its prompt beside the student with its own, on public texts that neither was fitted to. */

import type { Travel } from "../protocol/manifest.ts";

/** What is compared of two models. */
export type Comparison = Pick<Travel, "divergence" | "agreement">;

/**
 * Compares class scores of N texts, `[N, K]` row-major each. At temperature 1, as `predict` reads them; a tie goes to the class that comes
 * first.
 * @param classes K
 */
export function compareScores(student: Float32Array, target: Float32Array, classes: number): Comparison {
  const texts = student.length / classes;
  let [divergence, same] = [0, 0];
  for (let text = 0; text < texts; text++) {
    const [p, q] = [student, target].map((scores) => logSoftmaxRow(scores, text, classes)) as [number[], number[]];
    divergence += p.reduce((sum, value, k) => sum + Math.exp(value) * (value - q[k]!), 0);
    if (largest(p) === largest(q)) same += 1;
  }
  // Of equal distributions rounding leaves less than nothing.
  return { divergence: Math.max(0, divergence / texts), agreement: same / texts };
}

/** The log probabilities of the classes of a text, from scores `[N, K]`. */
export function logSoftmaxRow(scores: Float32Array, text: number, classes: number): number[] {
  const row = Array.from(scores.subarray(text * classes, (text + 1) * classes));
  const most = Math.max(...row);
  const total = most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return row.map((value) => value - total);
}

/** The index of the largest value; the first of equals. */
export function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

/** Rows of a matrix `[N, K]`, row-major. */
export function pick(matrix: Float32Array, classes: number, rows: Int32Array): Float32Array {
  const data = new Float32Array(rows.length * classes);
  rows.forEach((row, at) => {
    data.set(matrix.subarray(row * classes, (row + 1) * classes), at * classes);
  });
  return data;
}

/** Agreement below which a transfer gets advice: one text in five is then decided otherwise. */
const GOOD_AGREEMENT = 0.8;
/** The prompt fits its own texts so much better than others that it has learned these texts. */
const OVERFITTED = 2;
/** Fewer steps than this leave a prompt under way, whatever the model. */
const FEW_STEPS = 500;
/** Read so often, a text has nothing more to give: after 172 times a prompt was no better than none (docs/performance.md). */
const MANY_READINGS = 50;

/**
 * What a provider or client could do about a prompt that travelled badly; nothing for one that travelled well.
 * @param loss the loss at the end, on the texts that it was fitted to (classes, α = 0: the same divergence)
 */
export function adviceOn(
  { agreement, divergence }: Comparison,
  { loss, steps, batchSize, texts }: { loss: number | null; steps: number; batchSize: number; texts: number },
): string[] {
  if (agreement >= GOOD_AGREEMENT) return [];
  const percent = (100 * agreement).toFixed(0);
  const readings = (steps * batchSize) / texts;
  const advice = [`Student and target agree on only ${percent} % of the public texts that were held out.`];
  if (loss !== null && divergence > OVERFITTED * loss) {
    advice.push(`The ${texts} public texts are too few: the prompt fits them much better than the held-out ones.`);
  } else if (steps < FEW_STEPS) advice.push(`${steps} steps are few: try more.`);
  else if (readings > MANY_READINGS) {
    advice.push(
      `Each of the ${texts} public texts was read ${readings.toFixed(0)} times: more texts may help, not more steps.`,
    );
  } else advice.push("More steps may help, and public texts that are more like the private ones.");
  return advice;
}
