import type { Value } from "../graph/engine.ts";
import { add, mul, sub } from "../graph/operators/elementwise.ts";
import { input, type Tensor, variable } from "../graph/tensor.ts";
import { type OptimizerStep, scalar, zeros } from "./optimizers.ts";

/** The name of the variable that holds the mean. */
export const MEAN = "running-mean";

/**
 * Adds to an optimiser's step the mean of the values that a variable takes in the last steps of a run (Polyak and Juditsky 1992):
 * around an optimum a single iterate is off by what the last few batches, and with DP-SGD their noise, did to it. The graph gets
 * the input that {@link runningMeanFeeds} makes.
 */
export function withRunningMean(step: OptimizerStep, of: Tensor): OptimizerStep {
  const shape = of.shape as readonly number[];
  const mean = variable(MEAN, shape);
  const { next } = step.updates.find((update) => update.variable === of)!;
  const moved = add(mean, mul(sub(next, mean), input("mean.weight", "float32", [])));
  return {
    updates: [...step.updates, { variable: mean, next: moved }],
    initial: { ...step.initial, [MEAN]: zeros(shape) },
  };
}

/**
 * The weight of a step's value in the mean so far: 0 before the last steps begin.
 * @param step counted from 1
 * @param averaged how many of the `steps` are in the mean; 1 makes it the last value
 */
export function runningMeanFeeds(step: number, steps: number, averaged: number): Record<string, Value> {
  const count = step - (steps - averaged);
  return { "mean.weight": scalar(count < 1 ? 0 : 1 / count) };
}
