import type { LocatedWeight } from "./weight-files.ts";

/** A matrix in blocks of few bits, in a safetensors file: rows of the outputs, each in blocks along the inputs. */
export interface NarrowMatrix {
  readonly bits: 4 | 8;
  readonly block: number;
  /** U8 `[rows, blocks, block · bits / 8]`; of 4 bits the lower half of a byte is the first value. */
  readonly values: LocatedWeight;
  /** F32 `[rows, blocks]`. */
  readonly scales: LocatedWeight;
  /** U8 `[rows, blocks · bits / 8]`. */
  readonly zeroPoints: LocatedWeight;
}

/** What is behind a matrix's name in the names of its three tensors. */
export const PARTS = { values: ".values", scales: ".scales", zeroPoints: ".zero_points" } as const;

export const bitsOf = (weights: "int8" | "int4"): 4 | 8 => (weights === "int8" ? 8 : 4);

/** Blocks of a row. Of 4 bits they are an even number, so that a row's zero points are whole bytes: what is behind the row is zero. */
function blocksOf(columns: number, block: number, bits: 4 | 8): number {
  const blocks = Math.ceil(columns / block);
  return bits === 4 ? blocks + (blocks % 2) : blocks;
}

/** The shapes of a matrix's three tensors. */
export function partShapes(rows: number, columns: number, { bits, block }: { bits: 4 | 8; block: number }) {
  const blocks = blocksOf(columns, block, bits);
  return {
    values: [rows, blocks, (block * bits) / 8],
    scales: [rows, blocks],
    zeroPoints: [rows, (blocks * bits) / 8],
  } as const;
}

/** A matrix in blocks, in memory. */
export interface QuantisedRows {
  readonly values: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/**
 * Rounds rows of a matrix to the nearest of 2^bits evenly spaced values in each block of a row: symmetric, from −max|w| to max|w| around the middle
 * (2^bits − 1 values); else from the least to the largest, with 0 among them.
 * @param matrix finite, `[rows, columns]`, row-major
 */
export function quantiseRows(
  matrix: Float32Array,
  columns: number,
  { bits, block, symmetric }: { bits: 4 | 8; block: number; symmetric: boolean },
): QuantisedRows {
  const rows = matrix.length / columns;
  const blocks = blocksOf(columns, block, bits);
  const most = 2 ** bits - 1;
  const middle = 2 ** (bits - 1);
  const values = new Uint8Array((rows * blocks * block * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const zeroPoints = new Uint8Array((rows * blocks * bits) / 8);
  for (let group = 0; group < scales.length; group++) {
    const from = (group % blocks) * block;
    const start = Math.floor(group / blocks) * columns + from;
    const length = Math.max(0, Math.min(block, columns - from));
    let [low, high] = [0, 0];
    for (let i = start; i < start + length; i++) {
      const value = matrix[i]!;
      if (value < low) low = value;
      else if (value > high) high = value;
    }
    const range = symmetric ? Math.max(-low, high) / (middle - 1) : (high - low) / most;
    // Where all are 0 any scale will do; the smallest subnormals have no reciprocal.
    const scale = Math.fround(range) > 1e-38 ? Math.fround(range) : 1;
    const zero = symmetric ? middle : Math.round(-low / scale);
    scales[group] = scale;
    if (bits === 8) zeroPoints[group] = zero;
    else zeroPoints[group >> 1]! |= zero << (4 * (group & 1));
    const first = group * block;
    for (let i = 0; i < block; i++) {
      // Behind the row is the zero point. All is positive, so that cutting off rounds down.
      const exact = i < length ? matrix[start + i]! / scale + zero + 0.5 : zero;
      const value = exact < 0 ? 0 : exact > most ? most : exact | 0;
      if (bits === 8) values[first + i] = value;
      else if (i & 1) values[(first + i) >> 1]! |= value << 4;
      else values[(first + i) >> 1] = value;
    }
  }
  return { values, scales, zeroPoints };
}

/** What `quantiseRows` made, as float32 `[rows, columns]`. */
export function dequantiseRows(
  { values, scales, zeroPoints }: QuantisedRows,
  columns: number,
  { bits, block }: { bits: 4 | 8; block: number },
): Float32Array {
  const blocks = blocksOf(columns, block, bits);
  const rows = scales.length / blocks;
  const get = (from: Uint8Array, at: number) => (bits === 8 ? from[at]! : (from[at >> 1]! >> (4 * (at & 1))) & 15);
  const matrix = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const group = row * blocks + Math.floor(column / block);
      const value = get(values, group * block + (column % block)) - get(zeroPoints, group);
      matrix[row * columns + column] = value * scales[group]!;
    }
  }
  return matrix;
}

/** `[columns, rows]` as `[rows, columns]`. */
export function transposed(
  values: Float32Array,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Float32Array {
  const turned = new Float32Array(values.length);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) turned[row * columns + column] = values[column * rows + row]!;
  }
  return turned;
}
