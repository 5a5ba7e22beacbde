import { positiveAxis, type Shape } from "../shape.ts";
import { apply1, integers, type Operator, type Tensor } from "../tensor.ts";
import { exp, mul, sub } from "./elementwise.ts";
import { expand, reshape, shapeOf } from "./layout.ts";

const reduceSumOperator: Operator = {
  type: "ReduceSum",
  infer: ([x], { axes, keepdims }) => {
    const reduced = new Set(axes as readonly number[]);
    const shape = x!.shape.map((dim, i) => (reduced.has(i) ? 1 : dim));
    return [{ dtype: x!.dtype, shape: keepdims === 1 ? shape : shape.filter((_, i) => !reduced.has(i)) }];
  },
  gradient: ({ gradient, inputs: [x], attributes: { axes } }) => [
    () => {
      const reduced = axes as readonly number[];
      const kept = reshape(
        gradient,
        x!.shape.map((dim, i) => (reduced.includes(i) ? 1 : dim)),
      );
      return expand(kept, shapeOf(x!), x!.shape);
    },
    null,
  ],
};

/** The sum over axes; all of them if none are named. */
export function reduceSum(x: Tensor, axes = x.shape.map((_, i) => i), keepDims = false): Tensor {
  const positive = axes.map((axis) => positiveAxis(axis, x.shape.length));
  if (positive.length === 0) return x;
  return apply1(reduceSumOperator, [x, integers(positive)], { keepdims: keepDims ? 1 : 0, axes: positive });
}

/** The mean over the last axis, kept as 1. Its length must be a number. */
export function meanLast(x: Tensor): Tensor {
  return mul(reduceSum(x, [-1], true), 1 / (x.shape.at(-1) as number));
}

/** Sums a gradient down to the shape of the input that was broadcast. */
export function unbroadcast(gradient: Tensor, shape: Shape): Tensor {
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (shape[i - extra] === 1 && gradient.shape[i] !== 1));
  if (axes.length === 0) return gradient;
  return reshape(reduceSum(gradient, axes, true), shape);
}

const softmaxOperator: Operator = {
  type: "Softmax",
  infer: ([x]) => [x!],
  gradient: ({ gradient, outputs: [y] }) => [() => mul(y!, sub(gradient, reduceSum(mul(gradient, y!), [-1], true)))],
};

/** Softmax over the last axis. */
export function softmax(x: Tensor): Tensor {
  return apply1(softmaxOperator, [x], { axis: -1 });
}

const logSoftmaxOperator: Operator = {
  type: "LogSoftmax",
  infer: ([x]) => [x!],
  gradient: ({ gradient, outputs: [y] }) => [() => sub(gradient, mul(exp(y!), reduceSum(gradient, [-1], true)))],
};

/** log(softmax(x)) over the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return apply1(logSoftmaxOperator, [x], { axis: -1 });
}
