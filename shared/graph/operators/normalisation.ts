import { apply, type Operator, type Tensor } from "../tensor.ts";
import { add, div, mul, sqrt, sub } from "./elementwise.ts";
import { sumLast, unbroadcast } from "./reduction.ts";

const layerNormOperator: Operator = {
  type: "LayerNormalization",
  infer: ([x]) => {
    const reduced = { dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] };
    return [x!, reduced, reduced];
  },
  gradient: ({ gradient, inputs: [x, scale, bias], outputs: [, mean, inverse] }) => {
    const normal = () => mul(sub(x!, mean!), inverse!);
    return [
      () => {
        const [n, g] = [normal(), mul(gradient, scale!)];
        return mul(inverse!, sub(sub(g, meanLast(g)), mul(n, meanLast(mul(g, n)))));
      },
      () => unbroadcast(mul(gradient, normal()), scale!.shape),
      () => unbroadcast(gradient, bias!.shape),
    ];
  },
};

/** Layer normalisation over the last axis (Ba et al. 2016, equation 4). Its mean and inverse deviation serve the gradient. */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Tensor {
  return apply(layerNormOperator, [x, scale, bias], { axis: -1, epsilon })[0]!;
}

/** x / √(mean(x²) + ε) over the last axis, times a scale (Zhang and Sennrich 2019, equation 4). */
export function rmsNorm(x: Tensor, scale: Tensor, epsilon: number): Tensor {
  return mul(div(x, sqrt(add(meanLast(mul(x, x)), epsilon))), scale);
}

/** The mean over the last axis, kept as 1. Its length must be a number. */
export function meanLast(x: Tensor): Tensor {
  return mul(sumLast(x), 1 / (x.shape.at(-1) as number));
}
