import { positiveAxis, type Shape } from "../shape.ts";
import { apply1, integers, type Operator, type Tensor } from "../tensor.ts";
import { cast, concat, expand, reshape, shapeOf, zeroPiece } from "./layout.ts";

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

/**
 * The sum over axes; all of them if none are named. Integers are summed as float64, exactly up to 2⁵³: ONNX Runtime's CUDA
 * provider would sum them as float32.
 */
export function reduceSum(x: Tensor, axes = x.shape.map((_, i) => i), keepDims = false): Tensor {
  const positive = axes.map((axis) => positiveAxis(axis, x.shape.length));
  if (positive.length === 0) return x;
  if (x.dtype === "int32" || x.dtype === "int64") {
    return cast(reduceSum(cast(x, "float64"), positive, keepDims), x.dtype);
  }
  return apply1(reduceSumOperator, [x, integers(positive)], { keepdims: keepDims ? 1 : 0, axes: positive });
}

/** The sum of the squares of all elements, a scalar. No gradient is defined. */
export function sumOfSquares(x: Tensor): Tensor {
  return apply1({ type: "ReduceSumSquare", infer: () => [{ dtype: x.dtype, shape: [] }] }, [x], { keepdims: 0 });
}

/** ONNX Runtime adds the floats of a row in another order if the row doesn't begin on so many floats, 16 bytes. */
export const ALIGNED_FLOATS = 4;

/**
 * The sum over the last axis, kept as 1, whose bits don't depend on which row of x it is: rows of any length that is a number
 * begin where they are all summed in one order. Where the length is only known when the graph runs, it must be a multiple of
 * {@link ALIGNED_FLOATS} then, if that matters.
 */
export function sumLast(x: Tensor): Tensor {
  const axis = x.shape.length - 1;
  const length = x.shape[axis]!;
  const missing = typeof length === "number" ? -length & (ALIGNED_FLOATS - 1) : 0;
  const aligned = missing === 0 ? x : concat([x, zeroPiece(x, axis, missing)], axis);
  return reduceSum(aligned, [axis], true);
}

/** Sums a gradient down to the shape of the input that was broadcast. */
export function unbroadcast(gradient: Tensor, shape: Shape): Tensor {
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (shape[i - extra] === 1 && gradient.shape[i] !== 1));
  if (axes.length === 0) return gradient;
  const onlyLast = axes.length === 1 && axes[0] === gradient.shape.length - 1;
  return reshape(onlyLast ? sumLast(gradient) : reduceSum(gradient, axes, true), shape);
}
