/**
 * How a sample of private records is cut into batches, so that what is computed of a record can't depend on which others were
 * sampled: every batch has a shape that is public but for its own records' lengths (shared/privacy/README.md, "One record, one vector").
 */
import { ALIGNED_FLOATS } from "../graph/operators/reduction.ts";

/** Texts are padded to a multiple of so many tokens, or of a quarter of the next power of two where that is more. */
const LEAST_STEP = 16;
/** More records at once don't make a step faster. */
const MOST_ROWS = 32;

/** Records that are computed together. */
export interface Chunk {
  /** Tokens to which all of them are padded. */
  readonly length: number;
  /** At most as many as a batch has rows. */
  readonly records: readonly number[];
}

/**
 * Rows of every batch of a private step, a power of two near √B / 2: with more of them, more stay empty in the last batch of every
 * padded length; with fewer, the prompt is read more often.
 * @param batchSize the expected size B of a sample
 */
export function rowsAtOnce(batchSize: number): number {
  return Math.min(MOST_ROWS, 2 ** Math.max(0, Math.round(Math.log2(Math.sqrt(batchSize) / 2))));
}

/**
 * Tokens to which a text is padded: a function of its own length and of public numbers. With the prompt they make a row of
 * attention whose length is a multiple of 16 bytes.
 * @param length tokens of the text, at most {@link longestText}
 * @param positions the model's
 */
export function paddedLength(length: number, virtualTokens: number, positions: number): number {
  const step = Math.max(LEAST_STEP, 2 ** Math.ceil(Math.log2(length)) / 4);
  const padded = Math.ceil(length / step) * step;
  const aligned = padded + (-(virtualTokens + padded) & (ALIGNED_FLOATS - 1));
  return Math.min(aligned, longestText(virtualTokens, positions));
}

/** The most tokens that a private text may have, so that it can be padded within the model's positions. */
export function longestText(virtualTokens: number, positions: number): number {
  return positions - (positions & (ALIGNED_FLOATS - 1)) - virtualTokens;
}

/** Cuts a sample into chunks, each of records with one padded length. */
export function chunksOf(
  sample: Iterable<number>,
  paddedLengthOf: (record: number) => number,
  rows: number,
): readonly Chunk[] {
  const buckets = Map.groupBy(sample, paddedLengthOf);
  return [...buckets].flatMap(([length, records]) =>
    Array.from({ length: Math.ceil(records.length / rows) }, (_, i) => ({
      length,
      records: records.slice(i * rows, (i + 1) * rows),
    })),
  );
}
