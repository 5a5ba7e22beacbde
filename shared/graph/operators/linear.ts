import { product } from "../shape.ts";
import { apply1, type Blocks, integers, type Operator, type Tensor } from "../tensor.ts";
import { add, mul } from "./elementwise.ts";
import { cast, concat, reshape, zeroPiece } from "./layout.ts";
import { gemm, gemmOperator } from "./matrix.ts";

/**
 * A linear layer on `[…, K]`: one matrix product over all leading axes at once, in the weight's precision, with a float32 result.
 * @param weight `[K, N]`, or `[N, K]` with `transposed` (Hugging Face's nn.Linear)
 * @param options.asComputed leaves the result in the weight's precision
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  options: { bias?: Tensor; transposed?: boolean; asComputed?: boolean } = {},
): Tensor {
  const columns = weight.shape[options.transposed ? 0 : 1]!;
  const flat = reshape(cast(x, weight.dtype), [product(x.shape.slice(0, -1)), x.shape.at(-1)!]);
  const given = options.bias && { bias: cast(options.bias, weight.dtype) };
  const y = times(flat, weight, { transB: options.transposed ?? false, ...given });
  return reshape(options.asComputed ? y : cast(y, "float32"), [...x.shape.slice(0, -1), columns]);
}

interface Product {
  readonly transB: boolean;
  readonly bias?: Tensor;
}

function times(x: Tensor, weight: Tensor, options: Product): Tensor {
  const { source, dtype } = weight;
  if (source.kind !== "narrow") return gemm(x, weight, options);
  const { stored } = source;
  if (!("block" in stored)) {
    return widenedProduct(x, (after) => cast(lateRead(stored, after), dtype), options);
  }
  const padded = padTo(x, stored);
  const product =
    stored.product === "widened"
      ? widenedProduct(padded, (after) => dequantise(stored, dtype, after), { transB: true })
      : blockProduct(padded, stored);
  return options.bias ? add(product, options.bias) : product;
}

/**
 * A product with a matrix that is widened for it alone: once for the forward pass and once for the backward pass, from the same stored values. So
 * no more than a layer is wide at one time.
 * @param widen the wide matrix, made when a tensor is there
 */
function widenedProduct(x: Tensor, widen: (after: Tensor) => Tensor, { transB, bias }: Product): Tensor {
  const attributes = { transA: 0, transB: transB ? 1 : 0 };
  const operator: Operator = {
    ...gemmOperator,
    gradient: ({ gradient }) => [() => gemm(gradient, widen(gradient), { transB: !transB })],
  };
  const wide = widen(x);
  return apply1(operator, bias ? [x, wide, bias] : [x, wide], attributes);
}

/**
 * A product through ONNX Runtime's kernel for blocks, which unpacks a few rows at a time.
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmatmulnbits
 */
function blockProduct(x: Tensor, stored: Blocks): Tensor {
  const { bits, block, values, scales, zeroPoints, product } = stored;
  const [outputs, inputs] = [values.shape[0] as number, x.shape[1] as number];
  const operator: Operator = {
    type: "MatMulNBits",
    domain: "com.microsoft",
    infer: ([a]) => [{ dtype: a!.dtype, shape: [a!.shape[0]!, outputs] }],
    gradient: ({ gradient }) => [() => gemm(gradient, dequantise(stored, x.dtype, gradient))],
  };
  const sized = { K: inputs, N: outputs, bits, block_size: block };
  // Accuracy levels: 1 computes in float32, 4 with the inputs rounded to int8.
  const attributes = { ...sized, accuracy_level: product === "rounded" ? 4 : 1 };
  return apply1(operator, [x, values, cast(scales, x.dtype), zeroPoints], attributes);
}

/** x `[rows, K]` with zeros behind K up to whole blocks. */
function padTo(x: Tensor, { values, block }: Blocks): Tensor {
  const missing = (values.shape[1] as number) * block - (x.shape[1] as number);
  return missing === 0 ? x : concat([x, zeroPiece(x, 1, missing)], 1);
}

/** The matrix `[rows, blocks · block]`, made when a tensor is there. */
function dequantise(
  { bits, block, values, scales, zeroPoints }: Blocks,
  dtype: Tensor["dtype"],
  after: Tensor,
): Tensor {
  const [rows, blocks] = scales.shape as readonly [number, number];
  const shape = [rows, blocks * block];
  const as = (tensor: Tensor, shape: readonly number[]): Tensor => ({
    dtype: bits === 4 ? "uint4" : "uint8",
    shape,
    source: tensor.source,
  });
  const operator: Operator = { type: "DequantizeLinear", infer: () => [{ dtype, shape }] };
  const inputs = [as(values, shape), cast(lateRead(scales, after), dtype), as(zeroPoints, scales.shape as number[])];
  return apply1(operator, inputs, { axis: 1, block_size: block });
}

const sizeOperator: Operator = { type: "Size", constant: true, infer: () => [{ dtype: "int64", shape: [] }] };

/**
 * A weight that is read only when another tensor is there. Without that, ONNX Runtime would widen every matrix when the graph is loaded, as it does with
 * all that follows from constants, or all of them before the first product; and one that both passes use would stay wide between them.
 * Reshape takes a shape that is computed, of zeros, each of which stands for the axis as it is. Nothing is copied.
 */
function lateRead(weight: Tensor, after: Tensor): Tensor {
  const zeros = mul(apply1(sizeOperator, [after]), integers(weight.shape.map(() => 0)));
  const operator: Operator = { type: "Reshape", infer: ([x]) => [x!] };
  return apply1(operator, [weight, zeros]);
}
