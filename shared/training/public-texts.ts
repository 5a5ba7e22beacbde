/**
 * Which public texts a transfer uses. All of it is decided by the prompted student's class scores on them, `[N, K]` row-major: by
 * the prompt, the task and public texts, which the provider has; by nothing else of the client's.
 */
import { shuffle } from "../data/batches.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import { heldOutTexts } from "../protocol/transfer-texts.ts";
import { largest, logSoftmaxRow } from "./travel.ts";

/** A stream of random numbers of its own. */
const STREAM = 17;

export interface Division {
  /** Indices of the texts that the prompt is fitted to, and of those that it is measured on; the latter may be none. */
  readonly fitted: Int32Array;
  readonly heldOut: Int32Array;
}

/**
 * Divides texts at random. Those that are the same to the model are on one side: a text that was fitted to measures nothing. Groups of them are held out in
 * the order in which one meets them, each if it brings the number held out nearer to what it is to be.
 * @param texts indices of those that are divided
 * @param firsts of any text, the first one that is the same (`firstEquals`)
 */
export function holdOut(
  texts: Int32Array,
  firsts: Int32Array,
  seed: number,
  held = heldOutTexts(texts.length),
): Division {
  const order = shuffle(Int32Array.from(texts), new Draws(seededRandom(seed, STREAM)));
  const heldOut: number[] = [];
  const fitted: number[] = [];
  for (const same of Map.groupBy(order, (text) => firsts[text]!).values()) {
    const nearer = same.length < 2 * (held - heldOut.length);
    const all = heldOut.length + same.length === texts.length;
    (nearer && !all ? heldOut : fitted).push(...same);
  }
  return { fitted: Int32Array.from(fitted).sort(), heldOut: Int32Array.from(heldOut).sort() };
}

/** What the prompted student makes of texts. */
export interface Readings {
  /** The class that it gives each text. */
  readonly choices: Int32Array;
  /** The probability of that class. */
  readonly confidences: Float64Array;
  /** The mean distribution over all texts. */
  readonly shares: Float64Array;
  /** Mutual information of text and class, H(mean distribution) − mean H(distribution), in nats: 0 where it can't tell the texts apart, log K at most. */
  readonly information: number;
}

/** @param classes K */
export function readingsOf(scores: Float32Array, classes: number): Readings {
  const texts = scores.length / classes;
  const choices = new Int32Array(texts);
  const confidences = new Float64Array(texts);
  const shares = new Float64Array(classes);
  let entropies = 0;
  for (let text = 0; text < texts; text++) {
    const logs = logSoftmaxRow(scores, text, classes);
    choices[text] = largest(logs);
    confidences[text] = Math.exp(logs[choices[text]!]!);
    logs.forEach((value, k) => {
      shares[k]! += Math.exp(value) / texts;
      entropies -= (Math.exp(value) * value) / texts;
    });
  }
  const spread = shares.reduce((sum, share) => sum - (share > 0 ? share * Math.log(share) : 0), 0);
  return { choices, confidences, shares, information: Math.max(0, spread - entropies) };
}

/**
 * Chooses texts of a pool that carry the task: of the texts that the prompted student gives each class, those that it is surest of,
 * half of them at most and as many of one class as of another, as far as there are; where there are more classes than `limit`, one each of those that have the
 * surest.
 * @param limit texts at most
 * @returns their indices, ascending; all texts if there are no more than `limit`
 */
export function selectTexts(scores: Float32Array, classes: number, limit: number): Int32Array {
  const { choices, confidences } = readingsOf(scores, classes);
  const all = Int32Array.from(choices.keys());
  if (all.length <= limit) return all;
  const perClass = Math.max(1, Math.floor(limit / classes));
  const chosen = Array.from({ length: classes }, (_, k) => {
    const own = all.filter((text) => choices[text] === k).sort((a, b) => confidences[b]! - confidences[a]! || a - b);
    return own.subarray(0, Math.min(Math.ceil(own.length / 2), perClass));
  });
  const fair = chosen.flatMap((texts) => Array.from(texts));
  // More classes than texts: not every one has a text.
  return Int32Array.from(fair.sort((a, b) => confidences[b]! - confidences[a]! || a - b).slice(0, limit)).sort();
}

/** A class that gets less than this part of an even share of the texts is hardly ever named. */
const HARDLY = 0.1;

/** The classes, by index, that the prompted student hardly ever names: nothing about them can travel by these texts. */
export function hardlyNamed({ choices }: Readings, classes: number): number[] {
  const counts = new Int32Array(classes);
  for (const choice of choices) counts[choice]! += 1;
  const few = (HARDLY * choices.length) / classes;
  return Array.from(counts.keys()).filter((k) => counts[k]! < few);
}
