/** Texts with answers, of which a causal model's tokens are scored (teacher forcing). B rows, T positions, N answer tokens in all. */
import type { Value } from "../graph/engine.ts";
import { crossEntropy, gather } from "../graph/operators/indexing.ts";
import { reshape } from "../graph/operators/layout.ts";
import { matmul } from "../graph/operators/matrix.ts";
import { input, type Tensor } from "../graph/tensor.ts";
import { readPositions } from "../models/causal.ts";
import type { Model } from "../models/model.ts";
import type { EncodedText } from "./texts.ts";

/** A text and an answer, as tokens. */
export interface Sequence extends EncodedText {
  /** Index into `ids` of the answer's first token, at least 1: the answer is what is from there on. */
  readonly start: number;
}

/** How many tokens an answer has. */
export function answerLength({ ids, start }: Sequence): number {
  return ids.length - start;
}

/**
 * Final hidden states `[N, D]` at the position before every answer token, row after row: no other position meets the head. Its graph
 * inputs are those that {@link sequenceFeeds} gives.
 * @param prompt `[1, P, D]`, or `[PER_EXAMPLE, P, D]`
 */
export function answerHidden(model: Model, prompt?: Tensor): Tensor {
  const hidden = readPositions(model, input("ids", "int32", ["B", "T"]), input("read", "int32", ["B", "Q"]), prompt);
  return gather(hidden, input("answers", "int32", ["N"]));
}

/** The mean cross-entropy of every row's answer tokens, `[B]`, with the further inputs `labels` and `weights`. */
export function sequenceLosses(model: Model, prompt?: Tensor): Tensor {
  const losses = crossEntropy(model.logits(answerHidden(model, prompt)), input("labels", "int32", ["N"]));
  return rowMeans(losses);
}

/** The mean over every row's answer tokens, `[B]`, of a value each, `[N]`; with the input `weights`. */
export function rowMeans(values: Tensor): Tensor {
  return reshape(matmul(input("weights", "float32", ["B", "N"]), reshape(values, ["N", 1])), ["B"]);
}

/** Sizes of a batch's graph inputs, where they aren't the smallest that its rows fit in. */
export interface SequenceSizes {
  /** T, at least one less than the longest row's tokens. */
  readonly length: number;
  /** Q, at least the longest answer's tokens; N is B·Q then. */
  readonly answer: number;
}

/**
 * A batch. The last token of a row is only a label: nothing comes after it.
 * @param sizes so that shapes tell nothing of the rows: N is B·Q, and what is no answer token is an answer's first one again, of weight 0
 */
export function sequenceFeeds(rows: readonly Sequence[], sizes?: SequenceSizes): Record<string, Value> {
  const counts = rows.map(answerLength);
  const length = sizes?.length ?? Math.max(...rows.map(({ ids }) => ids.length - 1));
  const width = sizes?.answer ?? Math.max(...counts);
  const slots = sizes ? counts.map(() => width) : counts;
  const total = slots.reduce((a, b) => a + b, 0);
  const ids = new Int32Array(rows.length * length);
  const read = new Int32Array(rows.length * width);
  const [answers, labels] = [new Int32Array(total), new Int32Array(total)];
  const weights = new Float32Array(rows.length * total);
  let at = 0;
  rows.forEach((row, b) => {
    ids.set(row.ids.subarray(0, -1), b * length);
    for (let q = 0; q < width; q++) read[b * width + q] = row.start - 1 + (q < counts[b]! ? q : 0);
    for (let q = 0; q < slots[b]!; q++, at++) {
      answers[at] = b * width + q;
      labels[at] = row.ids[row.start + (q < counts[b]! ? q : 0)]!;
      if (q < counts[b]!) weights[b * total + at] = 1 / counts[b]!;
    }
  });
  return {
    ids: { shape: [rows.length, length], data: ids },
    read: { shape: [rows.length, width], data: read },
    answers: { shape: [total], data: answers },
    labels: { shape: [total], data: labels },
    weights: { shape: [rows.length, total], data: weights },
  };
}
