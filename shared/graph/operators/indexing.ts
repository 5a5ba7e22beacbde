import { apply, apply1, type Operator, type Tensor } from "../tensor.ts";
import { exp, mul, neg } from "./elementwise.ts";
import { cast, reshape, shapeOf, zeros } from "./layout.ts";

const scatterNdOperator: Operator = { type: "ScatterND", infer: ([into]) => [into!] };

const gatherOperator: Operator = {
  type: "Gather",
  infer: ([table, indices]) => [{ dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] }],
  gradient: ({ gradient, inputs: [table, indices] }) => [
    () => {
      const rows = reshape(cast(indices!, "int64"), [...indices!.shape, 1]);
      return apply1(scatterNdOperator, [zeros(shapeOf(table!), table!.shape), rows, gradient], { reduction: "add" });
    },
    null,
  ],
};

/** Rows of a table: `[V, …]` at int32 or int64 indices `[…i]` gives `[…i, …]`. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  return apply1(gatherOperator, [table, indices], { axis: 0 });
}

const scatterElementsOperator: Operator = { type: "ScatterElements", infer: ([into]) => [into!] };

const crossEntropyOperator: Operator = {
  type: "SoftmaxCrossEntropyLoss",
  infer: ([scores, labels]) => [
    { dtype: scores!.dtype, shape: labels!.shape },
    { dtype: scores!.dtype, shape: scores!.shape },
  ],
  gradient: ({ gradient, inputs: [, labels], outputs: [, logProbabilities] }) => [
    () => {
      const column = [...labels!.shape, 1];
      const each = reshape(gradient, column);
      const towardsAll = mul(exp(logProbabilities!), each);
      const at = reshape(cast(labels!, "int64"), column);
      return apply1(scatterElementsOperator, [towardsAll, at, neg(each)], { axis: 1, reduction: "add" });
    },
    null,
  ],
};

/** −log softmax(scores)[label] of every row: scores `[N, C]`, labels int32 or int64 `[N]`, result `[N]`. */
export function crossEntropy(scores: Tensor, labels: Tensor): Tensor {
  return apply(crossEntropyOperator, [scores, labels], { reduction: "none" })[0]!;
}
