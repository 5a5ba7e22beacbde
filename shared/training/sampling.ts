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

/** A token and its probability. */
interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/**
 * The tokens that sampling leaves, likeliest first, with their probabilities: temperature, then top-k, then nucleus sampling
 * (Holtzman et al. 2020, section 3.1), as transformers' warpers do it one after the other.
 * @param scores of all tokens `[V]`
 */
export function candidates(scores: Float32Array, { temperature = 1, topK, topP }: Sampling): Candidate[] {
  const order = Array.from(scores, (_, id) => id).sort((a, b) => scores[b]! - scores[a]! || a - b);
  // Tokens as likely as the last of the k are left too.
  const least = topK === undefined ? Number.NEGATIVE_INFINITY : scores[order[Math.min(topK, order.length) - 1]!]!;
  const left = normalised(
    order
      .filter((id) => scores[id]! >= least)
      .map((id) => ({ id, probability: Math.exp((scores[id]! - scores[order[0]!]!) / temperature) })),
  );
  if (topP === undefined) return left;
  let before = 0;
  const nucleus = left.filter(({ probability }, i) => {
    const wanted = i === 0 || before < topP;
    before += probability;
    return wanted;
  });
  return normalised(nucleus);
}

function normalised(list: readonly Candidate[]): Candidate[] {
  const sum = list.reduce((total, { probability }) => total + probability, 0);
  return list.map(({ id, probability }) => ({ id, probability: probability / sum }));
}

/** Draws a token. @param scores of all tokens `[V]` */
export function sample(scores: Float32Array, sampling: Sampling, draws: Draws): number {
  const list = candidates(scores, sampling);
  let rest = draws.uniform53();
  for (const { id, probability } of list) {
    rest -= probability;
    if (rest < 0) return id;
  }
  return list.at(-1)!.id;
}
