import { open } from "node:fs/promises";
import { machineMemory } from "../graph/memory.ts";
import { cast } from "../graph/operators/layout.ts";
import type { BlockProduct, Blocks, DType, Tensor } from "../graph/tensor.ts";
import { type FloatDtype, toFloat32 } from "../prompt/dtype.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Parameters, Precision } from "./model.ts";
import { dequantiseRows, type NarrowMatrix, transposed } from "./narrow-matrix.ts";
import { narrowMatrices, type StoredMatrix } from "./quantised-files.ts";
import { type LocatedWeight, readFully } from "./weight-files.ts";

const DTYPES: Readonly<Record<string, DType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  U8: "uint8",
};

/**
 * The frozen weights of a checkpoint, which ONNX Runtime reads from the file where they lie.
 * @param precision of matrices; vectors (norms, biases) are float32
 * @param options.product how products with quantised matrices are computed, if not as they have a gradient: `rounded` is for decoding
 */
export function frozenWeights(
  checkpoint: Checkpoint,
  precision: Precision = "float32",
  { product }: { product?: BlockProduct } = {},
): Parameters {
  const { weights, narrow, family, config } = checkpoint;
  const productOf = product ? () => product : exactProducts(checkpoint);
  const shapes = family.parameters(config);
  const made = new Map<string, Tensor>();
  const make = (name: string): Tensor => {
    const stored = narrow.get(name);
    if (stored) {
      const form = "block" in stored ? blocksOfWeight(name, stored, productOf(name)) : storedTensor(name, stored);
      return { dtype: precision, shape: shapes[name]!, source: { kind: "narrow", stored: form } };
    }
    const weight = located(weights, name);
    return cast(storedTensor(name, weight), weight.shape.length > 1 ? precision : "float32");
  };
  return (name) => {
    const tensor = made.get(name) ?? make(name);
    made.set(name, tensor);
    return tensor;
  };
}

function storedTensor(name: string, { dtype, shape, location }: LocatedWeight): Tensor {
  return { dtype: DTYPES[dtype]!, shape, source: { kind: "weight", name, location } };
}

/**
 * How exact products with a checkpoint's matrices in blocks are computed. The kernel for blocks is slower than widening for 8 bits and faster for 4, but holds a copy of the blocks: for as many matrices as
 * have theirs in a tenth of the machine's memory.
 * @param memory the machine's, in bytes
 * @returns what a matrix's products are, by its name
 */
export function exactProducts(
  { narrow, family, config }: Pick<Checkpoint, "narrow" | "family" | "config">,
  memory = machineMemory(),
): (name: string) => BlockProduct {
  const unpacked = new Set<string>();
  const onlyRead = family.head(config) in family.parameters(config) ? family.embeddings(config)[0] : undefined;
  let copies = 0;
  for (const [name, stored] of narrow) {
    if (!("block" in stored) || stored.bits === 8 || name === onlyRead) continue;
    const copy = stored.values.location.length;
    if (copies + copy > memory / 10) continue;
    copies += copy;
    unpacked.add(name);
  }
  return (name) => (unpacked.has(name) ? "unpacked" : "widened");
}

function blocksOfWeight(name: string, { bits, block, ...parts }: NarrowMatrix, product: BlockProduct): Blocks {
  return {
    bits,
    block,
    product,
    values: storedTensor(`${name}.values`, parts.values),
    scales: storedTensor(`${name}.scales`, parts.scales),
    zeroPoints: storedTensor(`${name}.zero_points`, parts.zeroPoints),
  };
}

function located<T>(weights: ReadonlyMap<string, T>, name: string): T {
  const weight = weights.get(name);
  if (!weight) throw new Error(`no weight is called ${name}`);
  return weight;
}

/** Reads one weight into memory as float32: as it was published, where that is at hand; else what is made of its blocks. */
export async function readWeight(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const { weights, narrow, family, config, quantisation } = checkpoint;
  const weight: StoredMatrix = weights.get(name) ?? located(narrow, name);
  if (!("block" in weight)) return readPart(weight, 1, 0, 1);
  const shape = located(narrowMatrices(family, config, quantisation!), name);
  const matrix = await readBlocks(weight, shape.columns, 0, shape.rows);
  return shape.transposed ? transposed(matrix, { rows: shape.columns, columns: shape.rows }) : matrix;
}

/**
 * Reads rows of a matrix into memory as float32, and nothing else of it.
 * @param name of a table, or of a matrix of which rows are the outputs
 * @param rows indices, each below the matrix's rows
 * @returns `[rows, columns]`, row-major
 */
export async function readRows(checkpoint: Checkpoint, name: string, rows: Int32Array): Promise<Float32Array> {
  const weight: StoredMatrix = checkpoint.weights.get(name) ?? located(checkpoint.narrow, name);
  const [count, columns] = checkpoint.family.parameters(checkpoint.config)[name]! as readonly [number, number];
  const values = new Float32Array(rows.length * columns);
  for (const [i, row] of rows.entries()) {
    const read = "block" in weight ? readBlocks(weight, columns, row, 1) : readPart(weight, count, row, 1);
    values.set(await read, i * columns);
  }
  return values;
}

/** Some rows of a matrix in blocks. */
async function readBlocks(matrix: NarrowMatrix, columns: number, first: number, rows: number): Promise<Float32Array> {
  const count = matrix.scales.shape[0]!;
  const [values, scales, zeroPoints] = await Promise.all(
    [matrix.values, matrix.scales, matrix.zeroPoints].map((part) => readBytes(part, count, first, rows)),
  );
  const parts = { values: values!, scales: new Float32Array(scales!.buffer), zeroPoints: zeroPoints! };
  return dequantiseRows(parts, columns, matrix);
}

async function readPart(weight: LocatedWeight, count: number, first: number, rows: number): Promise<Float32Array> {
  return toFloat32(await readBytes(weight, count, first, rows), weight.dtype as FloatDtype);
}

/** Bytes of some rows of `count`. */
async function readBytes(
  { location }: LocatedWeight,
  count: number,
  first: number,
  rows: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = location.length / count;
  await using file = await open(location.file);
  const bytes = new Uint8Array(rows * size);
  await readFully(file, bytes, location.offset + first * size);
  return bytes;
}
