import type { Shape } from "./shape.ts";

export type DType = "float32" | "float64" | "float16" | "bfloat16" | "int32" | "int64" | "bool" | "uint8" | "uint4";

/** ONNX's numbers for the dtypes (TensorProto.DataType). */
export const ELEMENT_TYPE: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
  uint4: 21,
};

/** Where the bytes of a weight lie. */
export interface WeightLocation {
  /** Absolute path of the safetensors file. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
}

/**
 * How a product with a matrix in blocks is computed: the matrix is `widened` for it alone; or `unpacked` a few rows at a time by ONNX Runtime's kernel, which is faster and holds a copy of the
 * blocks in its own order; or by that kernel with the other factor `rounded` to 8 bits, block by block, as llama.cpp's do: for decoding.
 */
export type BlockProduct = "widened" | "unpacked" | "rounded";

/**
 * A frozen matrix in blocks of a few bits, in ONNX Runtime's layout (MatMulNBits): a value is (q − zero point) · scale, with a scale and a zero
 * point for every block of a row. A row is of one output of a linear layer, or of one token of a table.
 */
export interface Blocks {
  readonly bits: 4 | 8;
  /** Values of a block. */
  readonly block: number;
  /** Weights: uint8 `[rows, blocks, block · bits / 8]`, of 4 bits the lower half of a byte first. */
  readonly values: Tensor;
  /** Weights: float32 `[rows, blocks]`. */
  readonly scales: Tensor;
  /** Weights: uint8 `[rows, blocks · bits / 8]`. */
  readonly zeroPoints: Tensor;
  readonly product: BlockProduct;
}

/** What makes a tensor's value. */
export type Source =
  /** The output of an operator. */
  | { readonly kind: "node"; readonly node: Node; readonly output: number }
  /** Given anew at every run. */
  | { readonly kind: "input"; readonly name: string }
  /** Kept by the engine between runs; graphs may replace it (see `Graph.updates`). */
  | { readonly kind: "variable"; readonly name: string }
  /** A frozen weight, read from its file where it lies. */
  | { readonly kind: "weight"; readonly name: string; readonly location: WeightLocation }
  /** A frozen matrix that stays narrow: operators/linear.ts computes with it as it lies, and nothing else can. */
  | { readonly kind: "narrow"; readonly stored: Tensor | Blocks }
  | { readonly kind: "constant"; readonly data: Float32Array | Int32Array | BigInt64Array }
  /** The run-time values of dimensions, as int64 `[n]`; where one may be left to the operator, −1 stands for it. */
  | { readonly kind: "sizes"; readonly dims: Shape; readonly oneInferred: boolean };

/** A symbolic tensor: what it is, and what makes it. It never holds activations. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly source: Source;
}

export type Attributes = Readonly<Record<string, number | string | readonly number[]>>;

/** One operator applied to inputs. Its outputs refer to it, so that a graph is whatever its outputs reach. */
export interface Node {
  readonly operator: Operator;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

/** What a gradient rule may use. */
export interface Backward {
  /** Gradient of the first output. */
  readonly gradient: Tensor;
  /** Gradients of all outputs; undefined where none flows back. */
  readonly gradients: readonly (Tensor | undefined)[];
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
}

/** An ONNX operator with its two rules. */
export interface Operator {
  /** ONNX operator name. */
  readonly type: string;
  /** Its domain, if not the standard one. */
  readonly domain?: string;
  /** Gradients take the outputs as constants: those who use them account for their part. */
  readonly constant?: true;
  /** What the gradients are of, where the operator stands for all that makes its input of these; else of its inputs. */
  readonly towards?: readonly Tensor[];
  /** The type of every output. Throws an Error that says what does not fit. */
  infer(inputs: readonly Tensor[], attributes: Attributes): readonly { readonly dtype: DType; readonly shape: Shape }[];
  /** For each input, how to build its gradient (only called where it is wanted), or null where none is defined. */
  gradient?(backward: Backward): readonly ((() => Tensor) | null)[];
}

/** Applies an operator: checks the types, makes the node, returns its outputs. */
export function apply(operator: Operator, inputs: readonly Tensor[], attributes: Attributes = {}): readonly Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node = { operator, inputs, attributes, outputs };
  operator.infer(inputs, attributes).forEach(({ dtype, shape }, output) => {
    outputs.push({ dtype, shape, source: { kind: "node", node, output } });
  });
  return outputs;
}

/** `apply` for an operator with one output. */
export function apply1(operator: Operator, inputs: readonly Tensor[], attributes: Attributes = {}): Tensor {
  return apply(operator, inputs, attributes)[0]!;
}

/**
 * A tensor whose gradient is written in closed form, instead of following from what computes it.
 * @param towards the tensors that it is a function of
 * @param gradient for each of them, how to build its gradient from that of the value
 */
export function closedForm(
  value: Tensor,
  towards: readonly Tensor[],
  gradient: (of: Tensor) => readonly (() => Tensor)[],
): Tensor {
  const operator: Operator = {
    type: "Identity",
    towards,
    infer: ([x]) => [x!],
    gradient: (backward) => gradient(backward.gradient),
  };
  return apply1(operator, [value]);
}

/** A tensor that is given at every run. Named dimensions get their size from it. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
  return { dtype, shape, source: { kind: "input", name } };
}

/** A float32 tensor that the engine keeps between runs. */
export function variable(name: string, shape: Shape): Tensor {
  return { dtype: "float32", shape, source: { kind: "variable", name } };
}

/** A float32 constant; a number makes a scalar. */
export function constant(value: number | ArrayLike<number>, shape?: Shape): Tensor {
  const data = Float32Array.from(typeof value === "number" ? [value] : value);
  return {
    dtype: "float32",
    shape: shape ?? (typeof value === "number" ? [] : [data.length]),
    source: { kind: "constant", data },
  };
}

/** An integer constant: a list, or a scalar for a number. Operators take axes and sizes as int64. */
export function integers(value: number | readonly number[], dtype: "int64" | "int32" = "int64"): Tensor {
  const list = typeof value === "number" ? [value] : value;
  const data = dtype === "int64" ? BigInt64Array.from(list, BigInt) : Int32Array.from(list);
  return { dtype, shape: typeof value === "number" ? [] : [data.length], source: { kind: "constant", data } };
}

/** The run-time values of dimensions as an int64 tensor `[dims.length]`. Reshape can infer one of them itself. */
export function sizes(dims: Shape, { oneInferred = false } = {}): Tensor {
  return { dtype: "int64", shape: [dims.length], source: { kind: "sizes", dims, oneInferred } };
}
