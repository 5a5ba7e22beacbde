import { Draws, type RandomSource } from "../protocol/random.ts";
import type { Rows } from "./packed-texts.ts";

/** Batches of this many shuffled batches' examples are sorted by length together: enough to save most padding. */
const BATCHES_PER_BUCKET = 32;

/** Rows of token ids, padded on the right with 0 to one length. */
export interface Batch {
  /** `[rows, length]`, row-major. */
  readonly ids: Int32Array;
  readonly rows: number;
  readonly length: number;
  /** `[rows]`: how many ids of each row are real. */
  readonly lengths: Int32Array;
  /** `[rows]`: where a masked model is read in each row. */
  readonly read: Int32Array;
  /** `[rows]`: which example each row is. */
  readonly examples: Int32Array;
}

/** What a batch needs of an example. */
interface Readable {
  readonly ids: Int32Array;
  readonly readAt: number;
}

/**
 * One batch.
 *
 * @param examples `[B]` indices into `encoded`; none gives a batch of no rows and length 0
 * @param padded tokens to pad to, if not to the longest of them
 */
export function makeBatch(encoded: Rows<Readable>, examples: Int32Array, padded?: number): Batch {
  const rows = Array.from(examples, (example) => encoded.at(example)!);
  const lengths = Int32Array.from(rows, ({ ids }) => ids.length);
  const length = padded ?? lengths.reduce((longest, each) => Math.max(longest, each), 0);
  const ids = new Int32Array(examples.length * length);
  for (const [row, each] of rows.entries()) ids.set(each.ids, row * length);
  const read = Int32Array.from(rows, ({ readAt }) => readAt);
  return { ids, rows: examples.length, length, lengths, read, examples };
}

/** All examples once in file order: `[B]` indices a batch, the last one shorter. */
export function fileOrder(count: number, batchSize: number): Int32Array[] {
  return cut(
    Int32Array.from({ length: count }, (_, i) => i),
    batchSize,
  );
}

/**
 * All examples once in an order that depends on nothing but `random` and the lengths: shuffled, then sorted by length
 * within buckets of some batches so that a batch's rows are alike, then the batches shuffled.
 *
 * @param lengths tokens of every example
 * @returns `[B]` indices a batch; one of them is shorter if the batch size doesn't divide the count
 */
export function shuffled(lengths: Int32Array, batchSize: number, random: RandomSource): Int32Array[] {
  const draws = new Draws(random);
  const order = shuffle(
    lengths.map((_, i) => i),
    draws,
  );
  const buckets = cut(order, batchSize * BATCHES_PER_BUCKET);
  const byLength = (a: number, b: number) => lengths[a]! - lengths[b]!;
  return shuffle(
    buckets.flatMap((bucket) => cut(bucket.sort(byLength), batchSize)),
    draws,
  );
}

/**
 * All examples once, shortest first: the fewest padded positions where the order doesn't matter (evaluation).
 *
 * @param lengths tokens of every example
 * @returns `[B]` indices a batch
 */
export function byLength(lengths: Int32Array, batchSize: number): Int32Array[] {
  const order = lengths.map((_, i) => i);
  return cut(
    order.sort((a, b) => lengths[a]! - lengths[b]!),
    batchSize,
  );
}

function cut(order: Int32Array, size: number): Int32Array[] {
  return Array.from({ length: Math.ceil(order.length / size) }, (_, i) => order.subarray(i * size, (i + 1) * size));
}

/** Fisher-Yates, in place. @returns the items */
export function shuffle<T extends Int32Array | unknown[]>(items: T, draws: Draws): T {
  for (let i = items.length - 1; i > 0; i--) {
    const j = draws.integer(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
