/**
 * What a transfer compares (design: The methods, exactly). B texts, K classes, D width, V vocabulary.
 *
 * For a task with classes the two models are compared by what the task reads: the class distributions at temperature 1. The paper's loss
 * compares the distributions of the next token over the whole vocabulary; tuning says nothing about most of it, so a prompt
 * moves it at random, and a transfer that imitates that has less of the prompt left for the classes.
 */
import type { Value } from "../graph/engine.ts";
import { add, mul, sub } from "../graph/operators/elementwise.ts";
import { concat, split } from "../graph/operators/layout.ts";
import { input, type Tensor } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import type { LossName } from "../protocol/manifest.ts";
import { classScores, softKl, TEMPERATURE } from "./losses.ts";
import { textInputs } from "./texts.ts";
import { pick } from "./travel.ts";
import { batchMean } from "./tune.ts";

/** T of each loss: classes are compared as `predict` and `evaluate` read them. */
export const TEMPERATURES: Readonly<Record<LossName, number>> = { classes: 1, vocabulary: TEMPERATURE };

/**
 * What never changes during a transfer, a row a public text, row-major: class scores `[N, K]` with the class loss, final hidden
 * states `[N, D]` with the vocabulary's.
 */
export interface TransferCache {
  /** Of the student with the prompt that was tuned on it. */
  readonly prompted: Float32Array;
  /** Of both models without a prompt: what α's term needs, so not there if α is 0. */
  readonly bare?: { readonly student: Float32Array; readonly target: Float32Array };
}

export interface TransferCriterion {
  readonly loss: LossName;
  /** Weight of the movement term, 0 to 1. */
  readonly alpha: number;
  /** The verbalizer's tokens of each class in the target's vocabulary. */
  readonly classes: readonly ArrayLike<number>[];
}

/**
 * The loss of a step, a scalar: (1 − α) times how far the prompted target is from the prompted student, plus α times how
 * differently the prompts move them (POST, equations 3 to 5), averaged over the batch. Its graph inputs are those of the texts and
 * what {@link cacheFeeds} makes; what the loss does not need is not in the graph.
 * @param prompt the target's, `[1, P, D]`
 */
export function transferStepLoss(target: Model, { loss, alpha, classes }: TransferCriterion, prompt: Tensor): Tensor {
  const temperature = TEMPERATURES[loss];
  const hidden = readHidden(target, textInputs(), prompt);
  const names = alpha > 0 ? ["prompted", "student", "target"] : ["prompted"];
  const width = loss === "classes" ? classes.length : target.config.width;
  const cached = names.map((name) => input(`cached.${name}`, "float32", ["B", width]));
  const compared = loss === "classes" ? cached : logitsOf(target, cached);
  const actual = loss === "classes" ? classScores(target, hidden, classes) : target.logits(hidden);
  const [prompted, student, bare] = compared as [Tensor, Tensor?, Tensor?];
  const imitation = softKl(prompted, actual, temperature);
  if (!student || !bare) return batchMean(imitation);
  const movement = softKl(sub(prompted, student), sub(actual, bare), temperature);
  return batchMean(add(mul(imitation, 1 - alpha), mul(movement, alpha)));
}

/** The head's product for all of some `[B, D]`, which share it: with few rows, most of its time is to read the head. */
function logitsOf(target: Model, hidden: readonly Tensor[]): readonly Tensor[] {
  if (hidden.length === 1) return [target.logits(hidden[0]!)];
  return split(
    target.logits(concat(hidden, 0)),
    0,
    hidden.map(() => "B"),
  );
}

/**
 * The cached rows of a batch's texts, as {@link transferStepLoss} reads them.
 * @param width numbers a row
 */
export function cacheFeeds(cache: TransferCache, width: number, texts: Int32Array): Record<string, Value> {
  const feed = (matrix: Float32Array): Value => ({ shape: [texts.length, width], data: pick(matrix, width, texts) });
  const feeds: Record<string, Value> = { "cached.prompted": feed(cache.prompted) };
  if (cache.bare) {
    feeds["cached.student"] = feed(cache.bare.student);
    feeds["cached.target"] = feed(cache.bare.target);
  }
  return feeds;
}
