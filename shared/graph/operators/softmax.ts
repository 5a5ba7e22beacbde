import { apply1, integers, type Operator, type Tensor } from "../tensor.ts";
import { log, mul, sub } from "./elementwise.ts";
import { reduceSum, sumLast } from "./reduction.ts";

const softmaxOperator: Operator = {
  type: "Softmax",
  infer: ([x]) => [x!],
  gradient: ({ gradient, outputs: [y] }) => [() => mul(y!, sub(gradient, sumLast(mul(gradient, y!))))],
};

/** Softmax over the last axis. */
export function softmax(x: Tensor): Tensor {
  return apply1(softmaxOperator, [x], { axis: -1 });
}

/** {@link softmax} that no gradient flows through: whoever uses it accounts for its part. */
export function constantSoftmax(x: Tensor): Tensor {
  return apply1({ type: "Softmax", constant: true, infer: ([of]) => [of!] }, [x], { axis: -1 });
}

const reduceMaxOperator: Operator = {
  type: "ReduceMax",
  constant: true,
  infer: ([x]) => [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] }],
};

/**
 * What log softmax(x) over the last axis is made of, `(x − maximum) + logPeak`, in operators that every provider has a kernel
 * of: the greatest probability is exp(maximum − maximum) / Σ exp(x − maximum), so its logarithm is what LogSoftmax subtracts.
 * @returns `probabilities`, softmax(x); `maximum` and `logPeak`, `[…, 1]`, which gradients take as constants
 */
export function softmaxParts(x: Tensor): Record<"probabilities" | "maximum" | "logPeak", Tensor> {
  const maximum = (of: Tensor) => apply1(reduceMaxOperator, [of, integers([-1])], { keepdims: 1 });
  const probabilities = softmax(x);
  return { probabilities, maximum: maximum(x), logPeak: log(maximum(probabilities)) };
}

/** log(softmax(x)) over the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  const { probabilities, maximum, logPeak } = softmaxParts(x);
  const operator: Operator = {
    type: "Add",
    infer: ([centred]) => [centred!],
    gradient: ({ gradient }) => [() => sub(gradient, mul(probabilities, reduceSum(gradient, [-1], true))), null],
  };
  return apply1(operator, [sub(x, maximum), logPeak]);
}
