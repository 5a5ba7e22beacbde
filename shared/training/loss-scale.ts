import type { Value } from "../graph/engine.ts";
import { gradients } from "../graph/gradients.ts";
import { add, div, lessOrEqual, mul, where } from "../graph/operators/elementwise.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { constant, type Tensor, variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { Watch } from "./events.ts";
import { type OptimizerStep, scalar } from "./optimizers.ts";

/** In float16 what is below 6e-8 is 0: the loss goes up by this before the backward pass, and the gradients down behind it. */
const LOSS_SCALE = 1024;
/** The largest finite float32: a sum of squares above it, or that is no number, comes from an overflow. */
export const LARGEST_FLOAT32 = 3.4028234663852886e38;
/** Ten halvings bring the scale to 1. Where more steps than this overflow, it is the model's own values that do. */
const MOST_SKIPPED = 50;

const SCALE = "loss.scale";
const SKIPPED = "loss.skipped";

/**
 * Gradients of a loss on a model with respect to prompts, scaled where the model computes in half precision (Micikevicius et
 * al. 2018, section 3.2). The scale is fixed, as private training needs it: one that followed the data would be a second release from them.
 * @param loss a scalar, float32
 */
export function promptGradients(loss: Tensor, wanted: readonly Tensor[], { precision }: Model): readonly Tensor[] {
  if (precision === "float32") return gradients(loss, wanted);
  return gradients(mul(loss, LOSS_SCALE), wanted).map((gradient) => mul(gradient, 1 / LOSS_SCALE));
}

/** A step whose gradients can overflow. */
export interface GuardedStep {
  readonly gradients: readonly Tensor[];
  /** What a run of the graph also returns. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** An optimiser's step that does nothing where a gradient has overflowed. */
  guard(step: OptimizerStep): OptimizerStep;
}

/**
 * As {@link promptGradients}, with a scale that is halved at every overflow (Micikevicius et al. 2018, section 3.2): such a step changes nothing else. In
 * full precision there is nothing to guard. It is no way for private training.
 */
export function guardedGradients(loss: Tensor, wanted: readonly Tensor[], { precision }: Model): GuardedStep {
  if (precision === "float32") return { gradients: gradients(loss, wanted), outputs: {}, guard: (step) => step };
  const [scale, skipped] = [variable(SCALE, []), variable(SKIPPED, [])];
  const scaled = gradients(mul(loss, scale), wanted).map((gradient) => div(gradient, scale));
  const squares = scaled.map((gradient) => reduceSum(mul(gradient, gradient)));
  const finite = lessOrEqual(
    squares.reduce((a, b) => add(a, b)),
    constant(LARGEST_FLOAT32),
  );
  const nextSkipped = where(finite, skipped, add(skipped, 1));
  return {
    gradients: scaled,
    outputs: { skipped: nextSkipped },
    guard: ({ updates, initial }) => ({
      updates: [
        ...updates.map(({ variable, next }) => ({ variable, next: where(finite, next, variable) })),
        { variable: scale, next: where(finite, scale, mul(scale, 0.5)) },
        { variable: skipped, next: nextSkipped },
      ],
      initial: { ...initial, [SCALE]: scalar(LOSS_SCALE), [SKIPPED]: scalar(0) },
    }),
  };
}

/** Counts the steps that were skipped, tells of them, and ends a run that does nothing else. */
export class SkippedSteps {
  private count = 0;

  /** @throws ProblemError if too many were skipped */
  see(results: Readonly<Record<string, Value>>): void {
    this.count = results.skipped?.data[0] ?? 0;
    if (this.count <= MOST_SKIPPED) return;
    const detail = `${this.count} steps overflowed, also with a loss scale below 1: this model's own values are too large for half precision. Use fp32.`;
    throw new ProblemError("The model can't be computed in half precision", detail, { status: 422 });
  }

  tell({ onEvent }: Watch): void {
    if (this.count === 0) return;
    const scale = LOSS_SCALE / 2 ** this.count;
    const text = `${this.count} steps overflowed in half precision and were skipped; the loss scale is ${scale} now.`;
    onEvent?.({ kind: "note", text });
  }
}
