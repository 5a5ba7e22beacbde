import type { Draws } from "../protocol/random.ts";

/** How the next token is chosen by chance. */
export interface Sampling {
  /** What scores are divided by. */
  readonly temperature?: number | undefined;
  /** Only so many of the likeliest tokens are left. */
  readonly topK?: number | undefined;
  /** Of these, the fewest likeliest whose probabilities make at least this. */
  readonly topP?: number | undefined;
}

/** Tokens that are left, in the order of their ids, and the probability of each. */
interface Candidates {
  readonly ids: Int32Array;
  readonly probabilities: Float64Array;
}

/**
 * The tokens that sampling leaves: temperature, then top-k, then nucleus sampling (Holtzman et al. 2020, section 3.1), as transformers'
 * warpers do it one after the other.
 * @param scores of all tokens `[V]`
 */
export function candidates(scores: Float32Array, sampling: Sampling): Candidates {
  const { temperature = 1 } = sampling;
  const best = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  const { least, alike } = boundary(scores, best, sampling);
  const [ids, weights] = [new Int32Array(scores.length), new Float64Array(scores.length)];
  let [count, sum, taken] = [0, 0, 0];
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id]!;
    if (score < least || (score === least && taken++ >= alike)) continue;
    ids[count] = id;
    weights[count] = Math.exp((score - best) / temperature);
    sum += weights[count++]!;
  }
  return { ids: ids.subarray(0, count), probabilities: weights.subarray(0, count).map((weight) => weight / sum) };
}

/** Draws a token. @param scores of all tokens `[V]` */
export function sample(scores: Float32Array, sampling: Sampling, draws: Draws): number {
  const { ids, probabilities } = candidates(scores, sampling);
  let rest = draws.uniform53();
  const chosen = probabilities.findIndex((probability) => {
    rest -= probability;
    return rest < 0;
  });
  return ids.at(chosen)!;
}

/** The least score that is left, and how many tokens of just that score. */
function boundary(scores: Float32Array, best: number, { temperature = 1, topK, topP }: Sampling) {
  if (topK === undefined && topP === undefined) return { least: Number.NEGATIVE_INFINITY, alike: 0 };
  // Numbers alone are sorted fast.
  const sorted = Float32Array.from(scores).sort().reverse();
  // Tokens as likely as the last of the k are left too.
  const kth = topK === undefined ? Number.NEGATIVE_INFINITY : sorted[Math.min(topK, sorted.length) - 1]!;
  const left = sorted.subarray(0, upTo(sorted, kth));
  if (topP === undefined) return { least: kth, alike: Number.POSITIVE_INFINITY };
  const weights = Float64Array.from(left, (score) => Math.exp((score - best) / temperature));
  const wanted = topP * weights.reduce((total, weight) => total + weight, 0);
  let [count, sum] = [0, 0];
  while (count < weights.length && (count === 0 || sum < wanted)) sum += weights[count++]!;
  const least = left[count - 1]!;
  return { least, alike: count - left.indexOf(least) };
}

/** How many of the scores, largest first, are at least so large. */
function upTo(sorted: Float32Array, least: number): number {
  const end = sorted.findIndex((score) => score < least);
  return end < 0 ? sorted.length : end;
}
