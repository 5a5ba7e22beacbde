import { makeBatch } from "../data/batches.ts";
import type { Value } from "../graph/engine.ts";
import { crossEntropy } from "../graph/operators/indexing.ts";
import { input, type Tensor } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import { classScores } from "./losses.ts";
import { longest } from "./prepare.ts";
import { answerLength, type Sequence, sequenceFeeds, sequenceLosses } from "./sequences.ts";
import { type EncodedText, textFeeds, textInputs } from "./texts.ts";

/** An example with its class. */
export interface LabelledText extends EncodedText {
  readonly label: number;
}

/** What a prompt is tuned on. */
export type Examples =
  | {
      /** Verbalizer tokens of each class. */
      readonly classes: readonly ArrayLike<number>[];
      readonly examples: readonly LabelledText[];
    }
  | { readonly classes?: undefined; readonly examples: readonly Sequence[] };

/** What tuning lowers: a loss an example, whatever kind of task it is of. */
export interface Objective {
  /** The losses `[B]`, on graph inputs that `feeds` gives. */
  losses(model: Model, prompt: Tensor): Tensor;
  /** The graph inputs of some examples. */
  feeds(indices: Int32Array): Record<string, Value>;
  /** Sizes of the graph inputs' named dimensions, at most, in a batch of so many. */
  largest(rows: number): Record<string, number>;
}

/** The cross-entropy over classes, or of an answer's tokens. */
export function objectiveOf({ classes, examples }: Examples): Objective {
  if (!classes) {
    return {
      losses: sequenceLosses,
      feeds: (indices) => sequenceFeeds(Array.from(indices, (index) => examples[index]!)),
      largest: (rows) => {
        const answer = examples.reduce((most, example) => Math.max(most, answerLength(example)), 0);
        return { B: rows, T: longest(examples), Q: answer, N: rows * answer };
      },
    };
  }
  return {
    losses: (model, prompt) => exampleLosses(model, classes, prompt),
    feeds: (indices) => {
      const batch = makeBatch(examples, indices);
      const labels = { shape: [batch.rows], data: batch.examples.map((example) => examples[example]!.label) };
      return { ...textFeeds(batch), labels };
    },
    largest: (rows) => ({ B: rows, T: longest(examples) }),
  };
}

/** The class cross-entropy `[B]` of every text, with the graph inputs `ids`, `lengths` and `labels`. */
export function exampleLosses(model: Model, classes: readonly ArrayLike<number>[], prompt: Tensor): Tensor {
  const hidden = readHidden(model, textInputs(), prompt);
  return crossEntropy(classScores(model, hidden, classes), input("labels", "int32", ["B"]));
}
