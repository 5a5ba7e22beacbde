import { makeBatch } from "../data/batches.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { Value } from "../graph/engine.ts";
import { crossEntropy } from "../graph/operators/indexing.ts";
import { input, type Tensor } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import { classScores } from "./losses.ts";
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
      readonly examples: Rows<LabelledText>;
    }
  | { readonly classes?: undefined; readonly examples: Rows<Sequence> };

/** An example of either kind of task. */
export type Example = LabelledText | Sequence;

/** Sizes of an example, or those that the examples of a batch are padded to. */
export interface Shape {
  /** Tokens that the model reads. */
  readonly length: number;
  /** Tokens of the answer; 0 where it is a label. */
  readonly answer: number;
}

/** What tuning lowers: a loss an example, whatever kind of task it is of. */
export interface Objective {
  readonly examples: Rows<Example>;
  /** The losses `[B]`, on graph inputs that `feeds` gives. */
  losses(model: Model, prompt: Tensor): Tensor;
  /** The graph inputs of some examples, padded to a shape if there is one. */
  feeds(examples: readonly Example[], shape?: Shape): Record<string, Value>;
  shapeOf(example: Example): Shape;
  /** An example, or a part of it that fits. */
  cut(example: Example, shape: Shape): Example;
  /** What stands where a batch has no example. */
  readonly empty: Example;
}

/** Sizes of the graph inputs' named dimensions, at most, in a batch of so many. */
export function largestSizes({ examples, shapeOf }: Objective, rows: number): Record<string, number> {
  let [length, answer] = [0, 0];
  for (const example of examples) {
    const shape = shapeOf(example);
    length = Math.max(length, shape.length);
    answer = Math.max(answer, shape.answer);
  }
  return { B: rows, T: length, Q: answer, N: rows * answer };
}

/** The cross-entropy over classes, or of an answer's tokens. */
export function objectiveOf(given: Examples): Objective {
  return given.classes ? classObjective(given.classes, given.examples) : sequenceObjective(given.examples);
}

function classObjective(classes: readonly ArrayLike<number>[], examples: Rows<LabelledText>): Objective {
  return {
    examples,
    losses: (model, prompt) => exampleLosses(model, classes, prompt),
    feeds(some, shape) {
      const texts = some as readonly LabelledText[];
      const batch = makeBatch(texts, Int32Array.from(texts.keys()), shape?.length);
      const labels = { shape: [batch.rows], data: Int32Array.from(texts, ({ label }) => label) };
      return { ...textFeeds(batch), labels };
    },
    shapeOf: ({ ids }) => ({ length: ids.length, answer: 0 }),
    cut(example, { length }) {
      const { ids, readAt, label } = example as LabelledText;
      return { ids: ids.subarray(0, length), readAt: Math.min(readAt, length - 1), label };
    },
    empty: { ids: new Int32Array(1), readAt: 0, label: 0 },
  };
}

function sequenceObjective(examples: Rows<Sequence>): Objective {
  return {
    examples,
    losses: sequenceLosses,
    feeds: (some, shape) => sequenceFeeds(some as readonly Sequence[], shape),
    // The last token is only a label.
    shapeOf: (example) => ({ length: example.ids.length - 1, answer: answerLength(example as Sequence) }),
    cut(example, { length, answer }) {
      const { ids, start, readAt } = example as Sequence;
      const part = ids.subarray(0, length + 1);
      return { ids: part, start: Math.min(Math.max(start, part.length - answer), part.length - 1), readAt };
    },
    empty: { ids: new Int32Array(2), start: 1, readAt: 0 },
  };
}

/** The class cross-entropy `[B]` of every text, with the graph inputs `ids`, `lengths` and `labels`. */
export function exampleLosses(model: Model, classes: readonly ArrayLike<number>[], prompt: Tensor): Tensor {
  const hidden = readHidden(model, textInputs(), prompt);
  return crossEntropy(classScores(model, hidden, classes), input("labels", "int32", ["B"]));
}
