/** The steps that are timed: what softpost computes, and the same in the naive layout. */
import type { Graph, Value } from "../shared/graph/engine.ts";
import { gradients } from "../shared/graph/gradients.ts";
import { add, mul, sub } from "../shared/graph/operators/elementwise.ts";
import { crossEntropy, gather } from "../shared/graph/operators/indexing.ts";
import { reshape, transpose } from "../shared/graph/operators/layout.ts";
import { reduceSum } from "../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../shared/graph/shape.ts";
import { constant, input, integers, type Tensor, variable } from "../shared/graph/tensor.ts";
import type { Checkpoint } from "../shared/models/checkpoint.ts";
import type { Model } from "../shared/models/model.ts";
import { frozenWeights, readWeight } from "../shared/models/weights.ts";
import type { LossName } from "../shared/protocol/manifest.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";
import { clippedSum } from "../shared/training/clipped-sums.ts";
import { DISTILL_CLIP, DISTILL_OPTIMIZER, studentOf } from "../shared/training/distill.ts";
import { distillLoss } from "../shared/training/distill-loss.ts";
import { languageInputs, languageOutputs } from "../shared/training/language-rows.ts";
import { softKl } from "../shared/training/losses.ts";
import { exampleLosses, objectiveOf } from "../shared/training/objective.ts";
import { clipFactor, optimizerFeeds, optimizerStep, scalar } from "../shared/training/optimizers.ts";
import { rowsAtOnce } from "../shared/training/record-chunks.ts";
import { type Sequence, sequenceFeeds, sequenceLosses } from "../shared/training/sequences.ts";
import { textInputs } from "../shared/training/texts.ts";
import { TokenRows } from "../shared/training/token-rows.ts";
import { transferStepLoss } from "../shared/training/transfer-loss.ts";
import { batchMean } from "../shared/training/tune.ts";
import { VOCABULARY, WIDTH } from "./models.ts";
import { naiveLogits } from "./naive.ts";

/** Rows, virtual tokens and the longest text's tokens. */
export interface Size {
  readonly B: number;
  readonly P: number;
  readonly T: number;
}

/** A step in two layouts, with what both are fed. */
export interface Step {
  readonly ours: Graph;
  readonly naive?: Graph;
  readonly feeds: Readonly<Record<string, Value>>;
  /** What the naive layout is fed, if not the same. */
  readonly naiveFeeds?: Readonly<Record<string, Value>>;
  /** How many batches ours cuts the rows into, each like `feeds`; one if it is left out. */
  readonly batches?: number;
  readonly variables: Readonly<Record<string, Value>>;
}

export const CLASSES = [[318], [407]];
const ALPHA = 0.5;

/** A random batch whose texts have half of T to T tokens. */
export function randomBatch({ B, T }: Size): Record<"ids" | "lengths" | "read" | "labels", Value> {
  const draws = new Draws(seededRandom(B, T));
  const each = (value: (row: number) => number) => ({
    shape: [B],
    data: Int32Array.from({ length: B }, (_, i) => value(i)),
  });
  const lengths = each((row) => (row === 0 ? T : T - draws.integer(T / 2 + 1)));
  return {
    ids: { shape: [B, T], data: Int32Array.from({ length: B * T }, () => draws.integer(VOCABULARY)) },
    lengths,
    read: { shape: [B], data: (lengths.data as Int32Array).map((length) => length - 1) },
    labels: each(() => draws.integer(2)),
  };
}

/** Random rows `[rows, width]`. */
export function randomRows(rows: number, seed: number, width = WIDTH): Value {
  const draws = new Draws(seededRandom(seed));
  const data = Float32Array.from({ length: rows * width }, () => draws.uniform53() - 0.5);
  return { shape: [rows, width], data };
}

/** Loss and gradient of a tuning step without privacy. */
export function tuningStep(model: Model, size: Size): Step {
  const prompt = variable("prompt", [size.P, WIDTH]);
  const shared = reshape(prompt, [1, size.P, WIDTH]);
  const withGradient = (loss: Tensor) => ({ outputs: { loss, gradient: gradients(loss, [prompt])[0]! } });
  return {
    ours: withGradient(batchMean(exampleLosses(model, CLASSES, shared))),
    naive: withGradient(batchMean(naiveLosses(model, shared))),
    feeds: randomBatch(size),
    variables: { prompt: randomRows(size.P, 1) },
  };
}

/** Tokens of a target, of the texts of {@link answersStep}. */
const TARGET_TOKENS = 8;

/** Loss and gradient of a tuning step of a task whose answer is text: of T tokens the last eight are the target. */
export function answersStep(model: Model, size: Size): Step {
  const prompt = variable("prompt", [size.P, WIDTH]);
  const shared = reshape(prompt, [1, size.P, WIDTH]);
  const { ids, lengths } = randomBatch(size);
  const rows = Array.from(lengths.data as Int32Array, (length, row): Sequence => {
    const at = row * size.T;
    return {
      ids: (ids.data as Int32Array).subarray(at, at + length),
      start: length - TARGET_TOKENS,
      readAt: length - 1,
    };
  });
  const loss = batchMean(sequenceLosses(model, shared));
  return {
    ours: { outputs: { loss, gradient: gradients(loss, [prompt])[0]! } },
    feeds: sequenceFeeds(rows),
    variables: { prompt: randomRows(size.P, 1) },
  };
}

/** The clipped sum of per-example gradients, in batches as private tuning has them; the naive layout's are not even clipped. */
export function privateStep(model: Model, size: Size): Step {
  const rows = rowsAtOnce(size.B);
  const prompt = variable("prompt", [size.P, WIDTH]);
  const apart = reshape(prompt, [PER_EXAMPLE, size.P, WIDTH]);
  return {
    ours: { outputs: clippedSum({ model, objective: objectiveOf({ classes: CLASSES, examples: [] }) }, prompt) },
    naive: { outputs: { each: gradients(reduceSum(naiveLosses(model, apart)), [apart])[0]! } },
    naiveFeeds: randomBatch(size),
    feeds: {
      ...randomBatch({ ...size, B: rows }),
      counted: { shape: [rows], data: new Int32Array(rows).fill(1) },
      clip: scalar(1),
    },
    batches: Math.ceil(size.B / rows),
    variables: { prompt: randomRows(size.P, 1) },
  };
}

function naiveLosses(model: Model, prompt: Tensor): Tensor {
  const logits = transpose(naiveLogits(model, textInputs(), prompt), [1, 0]);
  const scores = transpose(gather(logits, integers(CLASSES.flat())), [1, 0]);
  return crossEntropy(scores, input("labels", "int32", ["B"]));
}

/**
 * Loss and gradient of a transfer step: by class distributions, as it is by default, or by the whole vocabulary and α, as in the paper; the
 * naive layout is the latter with four forward passes, as the reference does it.
 */
export function transferStep(target: Model, student: Model, loss: LossName, size: Size): Step {
  const prompt = variable("prompt", [size.P, WIDTH]);
  const shared = reshape(prompt, [1, size.P, WIDTH]);
  const withGradient = (value: Tensor) => ({ outputs: { loss: value, gradient: gradients(value, [prompt])[0]! } });
  const alpha = loss === "vocabulary" ? ALPHA : 0;
  const texts = textInputs();
  const studentPrompt = reshape(variable("studentPrompt", [size.P, WIDTH]), [1, size.P, WIDTH]);
  const wanted = { prompted: naiveLogits(student, texts, studentPrompt), bare: naiveLogits(student, texts) };
  const actual = { prompted: naiveLogits(target, texts, shared), bare: naiveLogits(target, texts) };
  const imitation = softKl(wanted.prompted, actual.prompted);
  const movement = softKl(sub(wanted.prompted, wanted.bare), sub(actual.prompted, actual.bare));
  const width = loss === "vocabulary" ? WIDTH : CLASSES.length;
  const cached = (alpha > 0 ? ["prompted", "student", "target"] : ["prompted"]).map((name, i) => [
    `cached.${name}`,
    randomRows(size.B, 3 + i, width),
  ]);
  return {
    ours: withGradient(transferStepLoss(target, { loss, alpha, classes: CLASSES }, shared)),
    naive: withGradient(batchMean(add(mul(imitation, 1 - ALPHA), mul(movement, ALPHA)))),
    feeds: { ...randomBatch(size), ...Object.fromEntries(cached) },
    variables: { prompt: randomRows(size.P, 1), studentPrompt: randomRows(size.P, 2) },
  };
}

/** A whole distillation step, AdamW included. A prompt has no part in it, so there is no other layout. */
export async function distillationStep(teacher: Checkpoint, layers: readonly number[], { B, T }: Size): Promise<Step> {
  const student = studentOf(teacher, layers);
  const rows = { batchSize: B, length: T, seed: 0 };
  const { ids, targets } = languageInputs(rows);
  const loss = distillLoss(
    languageOutputs(teacher.family.build(teacher.config, frozenWeights(teacher)), ids),
    languageOutputs(student.model, ids),
    { ...targets, real: constant(new Array(B * T).fill(1)) },
  );
  const trained = [...student.trained.values()];
  const slopes = gradients(loss, trained);
  const scale = clipFactor(slopes, DISTILL_CLIP);
  const update = optimizerStep(
    DISTILL_OPTIMIZER,
    trained.map((weight, i) => ({ variable: weight, gradient: slopes[i]!, scale, decay: false })),
  );
  const first: Record<string, Value> = {};
  for (const [name, { shape }] of student.trained) {
    first[name] = { shape: shape as number[], data: await readWeight(teacher, student.origin(name)) };
  }
  const draws = new Draws(seededRandom(0));
  const tokens = Int32Array.from({ length: B * T + 1 }, () => draws.integer(VOCABULARY));
  return {
    ours: { outputs: { loss }, updates: update.updates },
    feeds: { ...new TokenRows(tokens, rows).batch(0), ...optimizerFeeds(DISTILL_OPTIMIZER, 1, 2.5e-4) },
    variables: { ...first, ...update.initial },
  };
}
