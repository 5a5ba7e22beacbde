import { broadcast, type Dim } from "../shape.ts";
import { apply1, type Operator, type Tensor } from "../tensor.ts";
import { transpose } from "./layout.ts";
import { unbroadcast } from "./reduction.ts";

function sameInner(type: string, a: Dim, b: Dim): void {
  if (a !== b) throw new Error(`${type}: inner dimensions ${a} and ${b} differ`);
}

const matmulOperator: Operator = {
  type: "MatMul",
  infer: ([a, b]) => {
    sameInner("MatMul", a!.shape.at(-1)!, b!.shape.at(-2)!);
    const batch = broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return [{ dtype: a!.dtype, shape: [...batch, a!.shape.at(-2)!, b!.shape.at(-1)!] }];
  },
  gradient: ({ gradient, inputs: [a, b] }) => [
    () => unbroadcast(matmul(gradient, swapLast(b!)), a!.shape),
    () => unbroadcast(matmul(swapLast(a!), gradient), b!.shape),
  ],
};

/** The matrix product over the last two axes, `[…, M, K] × […, K, N]`; leading axes broadcast. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return apply1(matmulOperator, [a, b]);
}

/** x with its last two axes exchanged. */
export function swapLast(x: Tensor): Tensor {
  const rank = x.shape.length;
  return transpose(
    x,
    x.shape.map((_, i) => (i === rank - 2 ? rank - 1 : i === rank - 1 ? rank - 2 : i)),
  );
}

export const gemmOperator: Operator = {
  type: "Gemm",
  infer: ([a, b], { transA, transB }) => {
    const [rows, inner] = transA === 1 ? [a!.shape[1]!, a!.shape[0]!] : [a!.shape[0]!, a!.shape[1]!];
    const [inner2, columns] = transB === 1 ? [b!.shape[1]!, b!.shape[0]!] : [b!.shape[0]!, b!.shape[1]!];
    sameInner("Gemm", inner, inner2);
    return [{ dtype: a!.dtype, shape: [rows, columns] }];
  },
  gradient: ({ gradient, inputs: [a, b, c], attributes }) => {
    const [transA, transB] = [attributes.transA === 1, attributes.transB === 1];
    const rules = [
      () => (transA ? gemm(b!, gradient, { transA: transB, transB: true }) : gemm(gradient, b!, { transB: !transB })),
      () => (transB ? gemm(gradient, a!, { transA: true, transB: transA }) : gemm(a!, gradient, { transA: !transA })),
    ];
    return c ? [...rules, () => unbroadcast(gradient, c.shape)] : rules;
  },
};

/** `A' B' + bias` for matrices, where ' transposes if asked: no transposed copy of a weight is made. */
export function gemm(
  a: Tensor,
  b: Tensor,
  options: { transA?: boolean; transB?: boolean; bias?: Tensor } = {},
): Tensor {
  const attributes = { transA: options.transA ? 1 : 0, transB: options.transB ? 1 : 0 };
  return apply1(gemmOperator, options.bias ? [a, b, options.bias] : [a, b], attributes);
}
