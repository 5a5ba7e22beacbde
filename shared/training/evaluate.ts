import type { Rows } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { exp } from "../graph/operators/elementwise.ts";
import { reshape } from "../graph/operators/layout.ts";
import { logSoftmax } from "../graph/operators/softmax.ts";
import { type Tensor, variable } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import type { Watch } from "./events.ts";
import { classScores } from "./losses.ts";
import { type EncodedText, mapTexts, textInputs } from "./texts.ts";

/** What classifies a text: a model, a soft prompt for it or none, and the verbalizer's tokens of each of K classes. */
export interface Classifier {
  readonly engine: Engine;
  readonly model: Model;
  readonly classes: readonly ArrayLike<number>[];
  /** `[P, D]` */
  readonly prompt?: Value | undefined;
}

/** The probabilities of the classes for every text, in the texts' order: K numbers a text, row-major. */
export async function predict(classifier: Classifier, texts: Rows<EncodedText>, watch: Watch): Promise<Float32Array> {
  const { engine, model, classes, prompt } = classifier;
  if (prompt) await engine.set({ "evaluated.prompt": prompt });
  const hidden = readHidden(model, textInputs(), prompt && sharedPrompt(variable("evaluated.prompt", prompt.shape)));
  const result = exp(logSoftmax(classScores(model, hidden, classes)));
  return (await mapTexts(engine, "evaluating", { result }, texts, watch)).data;
}

/** A prompt `[P, D]` as one that all texts share, `[1, P, D]`. */
export function sharedPrompt(prompt: Tensor): Tensor {
  return reshape(prompt, [1, ...prompt.shape]);
}

export interface ClassFigures {
  readonly examples: number;
  /** Part of the class's examples that are found, and of what is given to the class that belongs there; null for none. */
  readonly recall: number | null;
  readonly precision: number | null;
}

export interface Evaluation {
  readonly examples: number;
  readonly accuracy: number;
  /** Standard error of the accuracy, √(p(1 − p)/n). */
  readonly standardError: number;
  /** Mean cross-entropy over the classes, in nats. */
  readonly loss: number;
  /** In the order of the task's labels. */
  readonly classes: readonly ClassFigures[];
}

/** Compares predictions with labels. A tie goes to the class that comes first. */
export function figures(probabilities: Float32Array, labels: readonly number[], classes: number): Evaluation {
  const chosen = labels.map((_, i) => {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row));
  });
  const count = (test: (label: number, choice: number) => boolean) =>
    labels.filter((label, i) => test(label, chosen[i]!)).length;
  const accuracy = count((label, choice) => label === choice) / labels.length;
  const losses = labels.map((label, i) => -Math.log(probabilities[i * classes + label]!));
  return {
    examples: labels.length,
    accuracy,
    standardError: Math.sqrt((accuracy * (1 - accuracy)) / labels.length),
    loss: losses.reduce((a, b) => a + b, 0) / labels.length,
    classes: Array.from({ length: classes }, (_, k) => {
      const found = count((label, choice) => label === k && choice === k);
      const [examples, given] = [count((label) => label === k), count((_, choice) => choice === k)];
      return { examples, recall: examples > 0 ? found / examples : null, precision: given > 0 ? found / given : null };
    }),
  };
}
