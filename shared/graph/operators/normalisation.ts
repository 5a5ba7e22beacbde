import { apply, closedForm, type Operator, type Tensor } from "../tensor.ts";
import { add, div, mul, sqrt, sub } from "./elementwise.ts";
import { sumLast, unbroadcast } from "./reduction.ts";

const layerNormOperator: Operator = {
  type: "LayerNormalization",
  infer: ([x]) => {
    const reduced = { dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] };
    return [x!, reduced, reduced];
  },
  gradient: ({ gradient, inputs: [x, scale, bias], outputs: [, mean, inverse] }) => {
    return [
      () => {
        // With n = (x − mean) inverse it is inverse (g − mean(g) − n mean(g n)): what is a number a row is brought together first.
        const g = mul(gradient, scale!);
        const level = meanLast(g);
        const along = mul(sub(meanLast(mul(g, x!)), mul(mean!, level)), mul(inverse!, inverse!));
        return mul(sub(sub(g, mul(x!, along)), sub(level, mul(along, mean!))), inverse!);
      },
      () => unbroadcast(mul(gradient, mul(sub(x!, mean!), inverse!)), scale!.shape),
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
  const root = sqrt(add(meanLast(mul(x, x)), epsilon));
  const normal = div(x, root);
  return closedForm(mul(normal, scale), [x, scale], (gradient) => [
    () => {
      const g = mul(gradient, scale);
      return div(sub(g, mul(x, div(meanLast(mul(g, x)), mul(root, root)))), root);
    },
    () => unbroadcast(mul(gradient, normal), scale.shape),
  ]);
}

/** The mean over the last axis, kept as 1. Its length must be a number. */
export function meanLast(x: Tensor): Tensor {
  return mul(sumLast(x), 1 / (x.shape.at(-1) as number));
}
