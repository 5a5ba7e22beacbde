import { type Dim, positiveAxis, type Shape, sum } from "../shape.ts";
import {
  apply,
  apply1,
  constant,
  type DType,
  ELEMENT_TYPE,
  integers,
  type Operator,
  sizes,
  type Tensor,
} from "../tensor.ts";

const shapeOperator: Operator = {
  type: "Shape",
  constant: true,
  infer: (_, { start, end }) => [{ dtype: "int64", shape: [(end as number) - (start as number)] }],
};

/** The run-time shape of x, or of its axes from `start` up to `end`, as int64 `[end − start]`. */
export function shapeOf(x: Tensor, start = 0, end = x.shape.length): Tensor {
  return apply1(shapeOperator, [x], { start, end });
}

/** Shapes that follow a tensor operand of the node can't be inferred from it alone: they ride on the operator. */
const toShape = (type: string, shape: Shape, gradient: Operator["gradient"]): Operator => ({
  type,
  infer: ([x]) => [{ dtype: x!.dtype, shape }],
  ...(gradient && { gradient }),
});

/** x with another shape of the same size, in row-major order. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (x.shape.length === shape.length && x.shape.every((dim, i) => dim === shape[i])) return x;
  const operator = toShape("Reshape", shape, ({ gradient, inputs: [from] }) => [
    () => reshape(gradient, from!.shape),
    null,
  ]);
  return apply1(operator, [x, sizes(shape, { oneInferred: true })]);
}

/** x broadcast to a run-time shape (an int64 tensor) that is known to be `shape`. For gradients only: it has none. */
export function expand(x: Tensor, runtimeShape: Tensor, shape: Shape): Tensor {
  return apply1(toShape("Expand", shape, undefined), [x, runtimeShape]);
}

/** Zeros with a run-time shape (an int64 tensor) that is known to be `shape`. */
export function zeros(runtimeShape: Tensor, shape: Shape, dtype: DType = "float32"): Tensor {
  return expand(cast(constant(0), dtype), runtimeShape, shape);
}

const transposeOperator: Operator = {
  type: "Transpose",
  infer: ([x], { perm }) => [{ dtype: x!.dtype, shape: (perm as readonly number[]).map((axis) => x!.shape[axis]!) }],
  gradient: ({ gradient, attributes: { perm } }) => [
    () => {
      const order = perm as readonly number[];
      return transpose(
        gradient,
        order.map((_, i) => order.indexOf(i)),
      );
    },
  ],
};

/** Axis i of the result is axis `order[i]` of x. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  return apply1(transposeOperator, [x], { perm: order });
}

const concatOperator: Operator = {
  type: "Concat",
  infer: (inputs, { axis }) => [
    {
      dtype: inputs[0]!.dtype,
      shape: inputs[0]!.shape.map((dim, i) => (i === axis ? sum(inputs.map((x) => x.shape[i]!)) : dim)),
    },
  ],
  gradient: ({ gradient, inputs, attributes: { axis } }) => {
    let parts: readonly Tensor[] | undefined;
    return inputs.map((_, i) => () => {
      parts ??= split(
        gradient,
        axis as number,
        inputs.map((x) => x.shape[axis as number]!),
      );
      return parts[i]!;
    });
  },
};

/** The tensors one behind the other along an axis. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  return apply1(concatOperator, tensors, { axis: positiveAxis(axis, tensors[0]!.shape.length) });
}

/** x cut along an axis into pieces of the given lengths. */
export function split(x: Tensor, axis: number, lengths: readonly Dim[]): readonly Tensor[] {
  const at = positiveAxis(axis, x.shape.length);
  const shapes = lengths.map((length) => x.shape.map((dim, i) => (i === at ? length : dim)));
  const operator: Operator = {
    type: "Split",
    infer: () => shapes.map((shape) => ({ dtype: x.dtype, shape })),
    gradient: ({ gradient, gradients }) => [
      () =>
        concat(
          lengths.map((length, i) => gradients[i] ?? zeroPiece(gradient, at, length)),
          at,
        ),
      null,
    ],
  };
  return apply(operator, [x, sizes(lengths)], { axis: at });
}

/** Zeros of a length along an axis that fit beside a tensor, whose other axes are as long as they turn out to be. */
export function zeroPiece(beside: Tensor, axis: number, length: Dim): Tensor {
  const rank = beside.shape.length;
  const around = [shapeOf(beside, 0, axis), sizes([length]), shapeOf(beside, axis + 1, rank)];
  const shape = concat(
    around.filter((part) => part.shape[0] !== 0),
    0,
  );
  return zeros(
    shape,
    beside.shape.map((dim, i) => (i === axis ? length : dim)),
    beside.dtype,
  );
}

/** x converted to another dtype. There is a gradient between floats only. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const operator: Operator = {
    type: "Cast",
    infer: ([from]) => [{ dtype, shape: from!.shape }],
    ...(isFloat(x.dtype) &&
      isFloat(dtype) && { gradient: ({ gradient, inputs: [from] }) => [() => cast(gradient, from!.dtype)] }),
  };
  return apply1(operator, [x], { to: ELEMENT_TYPE[dtype] });
}

const isFloat = (dtype: DType) => dtype.includes("float");

const rangeOperator = (length: Dim): Operator => ({
  type: "Range",
  infer: () => [{ dtype: "int32", shape: [length] }],
});

/** start, start + 1, …, as int32 `[length]`: WebGPU has no int64. */
export function range(start: number, length: Dim): Tensor {
  const end = reshape(cast(sizes([sum([start, length])]), "int32"), []);
  return apply1(rangeOperator(length), [integers(start, "int32"), end, integers(1, "int32")]);
}
