import type { Value } from "../graph/engine.ts";
import { add, div, minimum, mul, sqrt, sub } from "../graph/operators/elementwise.ts";
import { sumOfSquares } from "../graph/operators/reduction.ts";
import { constant, input, type Tensor, variable } from "../graph/tensor.ts";

export type Optimizer =
  | { readonly name: "sgd" }
  | {
      readonly name: "adam" | "adamw";
      readonly betas: readonly [number, number];
      readonly epsilon: number;
      /** Decoupled weight decay (adamw only). */
      readonly weightDecay: number;
      /** Variance of the noise in each number of a gradient, where it is known: the second moment is freed of it. */
      readonly noiseVariance?: number;
    };

/** Adam with PyTorch's defaults. */
export const ADAM: Optimizer = { name: "adam", betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0 };

/** Of the noise's variance, the least that is left of a second moment that is freed of it. Chosen by hand; docs/privacy.md has what it gave. */
const LEAST_MOMENT = 0.09;

/** A variable that is trained, and its gradient. */
export interface Trained {
  readonly variable: Tensor;
  readonly gradient: Tensor;
  /** A scalar that the gradient is multiplied with; none for 1. */
  readonly scale?: Tensor;
  /** Whether weight decay applies; true unless told. */
  readonly decay?: boolean;
}

/** An optimiser's step as graph nodes. */
export interface OptimizerStep {
  readonly updates: readonly { readonly variable: Tensor; readonly next: Tensor }[];
  /** The optimiser's own variables, with what they start from. */
  readonly initial: Readonly<Record<string, Value>>;
}

/**
 * One step of SGD, Adam (Kingma and Ba 2015, algorithm 1) or AdamW (Loshchilov and Hutter 2019, algorithm 2), as
 * torch.optim computes it. With known noise of variance Φ the second moment v is max(v − Φ, 0.09 Φ): DP-AdamBC (Tang et al. 2023, arXiv 2312.14334, algorithm 1),
 * without which noise, being nearly all of v, makes steps of one length of Adam's. The graph gets the inputs that {@link optimizerFeeds} makes.
 */
export function optimizerStep(optimizer: Optimizer, trained: readonly Trained[]): OptimizerStep {
  const rate = input("optimizer.rate", "float32", []);
  if (optimizer.name === "sgd") {
    const updates = trained.map(({ variable: v, gradient, scale }) => ({
      variable: v,
      next: sub(v, mul(gradient, scale ? mul(scale, rate) : rate)),
    }));
    return { updates, initial: {} };
  }
  const root = input("optimizer.root", "float32", []);
  const [beta1, beta2] = optimizer.betas;
  const initial: Record<string, Value> = {};
  const moment = (prefix: string, of: Tensor): Tensor => {
    if (of.source.kind !== "variable") throw new Error("only variables can be trained");
    const name = `${prefix}.${of.source.name}`;
    const shape = of.shape as readonly number[];
    initial[name] = zeros(shape);
    return variable(name, shape);
  };
  const { noiseVariance = 0 } = optimizer;
  const deviation = (square: Tensor): Tensor => {
    if (noiseVariance === 0) return mul(sqrt(square), root);
    // max(v − Φ, 0.09 Φ) is −min(Φ − v, −0.09 Φ): of the two operators the other graphs have Min alone.
    const below = sub(constant(noiseVariance), mul(square, mul(root, root)));
    return sqrt(mul(minimum(below, -LEAST_MOMENT * noiseVariance), -1));
  };
  const keep = optimizer.name === "adamw" ? input("optimizer.keep", "float32", []) : undefined;
  const updates = trained.flatMap(({ variable: v, gradient, scale, decay = true }) => {
    const [mean, square] = [moment("adam.mean", v), moment("adam.square", v)];
    // Weights are more than a cache holds: numbers are brought together before a tensor is multiplied with them.
    const [first, second] = scale ? [mul(scale, 1 - beta1), mul(mul(scale, scale), 1 - beta2)] : [1 - beta1, 1 - beta2];
    const nextMean = add(mul(mean, beta1), mul(gradient, first));
    const nextSquare = add(mul(square, beta2), mul(mul(gradient, gradient), second));
    const direction = div(nextMean, add(deviation(nextSquare), optimizer.epsilon));
    const kept = keep && decay ? mul(v, keep) : v;
    return [
      { variable: mean, next: nextMean },
      { variable: square, next: nextSquare },
      { variable: v, next: sub(kept, mul(direction, rate)) },
    ];
  });
  return { updates, initial };
}

/**
 * What an {@link optimizerStep} needs at a step: the rates with Adam's corrections of its young averages.
 * @param step counted from 1
 */
export function optimizerFeeds(optimizer: Optimizer, step: number, learningRate: number): Record<string, Value> {
  if (optimizer.name === "sgd") return { "optimizer.rate": scalar(learningRate) };
  const [beta1, beta2] = optimizer.betas;
  return {
    "optimizer.rate": scalar(learningRate / (1 - beta1 ** step)),
    "optimizer.root": scalar(1 / Math.sqrt(1 - beta2 ** step)),
    ...(optimizer.name === "adamw" && { "optimizer.keep": scalar(1 - learningRate * optimizer.weightDecay) }),
  };
}

/** What gradients are multiplied with so that their joint norm is at most `limit`, a scalar, as torch's clip_grad_norm_ does. */
export function clipFactor(gradients: readonly Tensor[], limit: number): Tensor {
  const norm = sqrt(gradients.map((gradient) => sumOfSquares(gradient)).reduce((a, b) => add(a, b)));
  return minimum(div(constant(limit), add(norm, 1e-6)), 1);
}

/** What a variable that gathers steps begins with. */
export function zeros(shape: readonly number[]): Value {
  return { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
}

/** A scalar as a feed. */
export function scalar(value: number): Value {
  return { shape: [], data: Float32Array.of(value) };
}
