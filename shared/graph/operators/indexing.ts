import { apply1, type Blocks, type Operator, type Tensor } from "../tensor.ts";
import { mul, neg, sub } from "./elementwise.ts";
import { cast, reshape, shapeOf, split, zeros } from "./layout.ts";
import { softmaxParts } from "./softmax.ts";

const scatterNdOperator: Operator = { type: "ScatterND", infer: ([into]) => [into!] };

const gatherOperator: Operator = {
  type: "Gather",
  infer: ([table, indices]) => [{ dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] }],
  gradient: ({ gradient, inputs: [table, indices] }) => [
    () => {
      const rows = cast(reshape(indices!, [...indices!.shape, 1]), "int64");
      return apply1(scatterNdOperator, [zeros(shapeOf(table!), table!.shape), rows, gradient], { reduction: "add" });
    },
    null,
  ],
};

/** Rows of a table: `[V, …]` at int32 or int64 indices `[…i]` gives `[…i, …]`. Of a frozen table only these are widened. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  const { source, dtype } = table;
  const stored = source.kind === "narrow" ? source.stored : frozenBelow(table);
  if ("block" in stored) return blockRows(stored, indices, table);
  return cast(apply1(gatherOperator, [stored, indices], { axis: 0 }), dtype);
}

/** The frozen weight that a tensor is a cast of, or else the tensor. */
function frozenBelow(tensor: Tensor): Tensor {
  const { source } = tensor;
  if (source.kind !== "node" || source.node.operator.type !== "Cast") return tensor;
  const below = source.node.inputs[0]!;
  return below.source.kind === "weight" ? below : tensor;
}

/** https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftgatherblockquantized */
function blockRows({ bits, block, values, scales, zeroPoints }: Blocks, indices: Tensor, table: Tensor): Tensor {
  const [rows, blocks, bytes] = values.shape as readonly [number, number, number];
  const width = table.shape[1] as number;
  const operator: Operator = {
    type: "GatherBlockQuantized",
    domain: "com.microsoft",
    infer: () => [{ dtype: table.dtype, shape: [...indices.shape, blocks * block] }],
  };
  const flat = { ...values, shape: [rows, blocks * bytes] };
  const inputs = [flat, indices, cast(scales, table.dtype), zeroPoints];
  const found = apply1(operator, inputs, { bits, block_size: block, gather_axis: 0, quantize_axis: 1 });
  return width === blocks * block ? found : split(found, -1, [width, blocks * block - width])[0]!;
}

const argMaxOperator: Operator = {
  type: "ArgMax",
  infer: ([x]) => [{ dtype: "int64", shape: x!.shape.slice(0, -1) }],
};

/** The index of the largest element of the last axis, the first of equal ones, as int32. */
export function argMax(x: Tensor): Tensor {
  return cast(apply1(argMaxOperator, [x], { axis: -1, keepdims: 0 }), "int32");
}

const scatterElementsOperator: Operator = { type: "ScatterElements", infer: ([into]) => [into!] };

/** Of every row of x `[N, C]` the elements at int32 or int64 indices `[N, I]`, `[N, I]`. No gradient is defined. */
export function pick(x: Tensor, at: Tensor): Tensor {
  return apply1({ type: "GatherElements", infer: ([from]) => [{ dtype: from!.dtype, shape: at.shape }] }, [x, at], {
    axis: 1,
  });
}

/** x `[N, C]` with values `[N, I]` added to the elements of every row at int32 or int64 indices `[N, I]`. No gradient is defined. */
export function addAt(x: Tensor, at: Tensor, values: Tensor): Tensor {
  return apply1(scatterElementsOperator, [x, at, values], { axis: 1, reduction: "add" });
}

/**
 * −log softmax(scores)[label] of every row: scores `[N, C]`, labels int32 or int64 `[N]`, result `[N]`. Written out, since no GPU
 * has a kernel of SoftmaxCrossEntropyLoss; on a CPU it takes the same time.
 */
export function crossEntropy(scores: Tensor, labels: Tensor): Tensor {
  const { probabilities, maximum, logPeak } = softmaxParts(scores);
  const at = reshape(labels, [...labels.shape, 1]);
  // The gradient of the whole loss, softmax minus 1 at the label, is that of the picked score, which the loss subtracts.
  const pickOperator: Operator = {
    type: "GatherElements",
    infer: ([from]) => [{ dtype: from!.dtype, shape: at.shape }],
    gradient: ({ gradient }) => [
      () => {
        return addAt(mul(probabilities, neg(gradient)), at, gradient);
      },
      null,
    ],
  };
  const picked = apply1(pickOperator, [scores, at], { axis: 1 });
  return reshape(sub(sub(maximum, picked), logPeak), labels.shape);
}
