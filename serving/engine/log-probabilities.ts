import type { Decode } from "../../shared/training/answer.ts";

/** A token as text, and its log-probability in nats under the model's own distribution. */
export interface LikelyToken {
  readonly token: string;
  readonly logprob: number;
}

/** The token that was taken, and those that were likeliest in its place. */
export interface Likely extends LikelyToken {
  readonly top: readonly LikelyToken[];
}

/**
 * Log-probabilities of the token that was taken and of the likeliest.
 * @param scores of all tokens `[V]`
 * @param count of the likeliest
 */
export async function logProbabilities(
  scores: Float32Array,
  taken: number,
  count: number,
  decode: Decode,
): Promise<Likely> {
  const best = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - best);
  const norm = best + Math.log(sum);
  const likely = async (id: number) => ({ token: await decode([id]), logprob: scores[id]! - norm });
  const top: LikelyToken[] = [];
  for (const id of largest(scores, count)) top.push(await likely(id));
  return { ...(await likely(taken)), top };
}

/** The ids of the largest scores, largest first. */
export function largest(scores: Float32Array, count: number): number[] {
  const found: number[] = [];
  for (let id = 0; id < scores.length; id++) {
    if (found.length === count && !(scores[id]! > scores[found[count - 1]!]!)) continue;
    const at = found.findIndex((other) => scores[id]! > scores[other]!);
    found.splice(at < 0 ? found.length : at, 0, id);
    if (found.length > count) found.pop();
  }
  return found;
}
