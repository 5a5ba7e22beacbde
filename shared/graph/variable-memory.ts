/** What is done with the memory of variables beside running graphs: rows of them, writing into them, giving them another size. */

/** A float32 tensor in memory. */
export interface Stored {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Some rows of a tensor, in its own memory. */
export function rowsOf({ data, dims }: Stored, first: number, count: number): Stored {
  const [, ...rest] = dims;
  const size = rest.reduce((a, b) => a * b, 1);
  return { data: data.subarray(first * size, (first + count) * size), dims: [count, ...rest] };
}

/**
 * Writes `[R, K, S, W]` into rows `[R, K, M, W]`, each row's part from its own position on axis 2. What doesn't fit is left out.
 * @param positions `[R]`
 * @param lengths how many of S are written of each row, `[R]`; all of them if it is left out
 */
export function append({ data, dims }: Stored, part: Stored, positions: Int32Array, lengths?: Int32Array): void {
  const [rows, heads, length, width] = part.dims as readonly [number, number, number, number];
  const room = dims[2]!;
  for (let row = 0; row < rows; row++) {
    const written = Math.min(lengths?.[row] ?? length, room - positions[row]!) * width;
    for (let head = row * heads; head < (row + 1) * heads; head++) {
      const from = head * length * width;
      data.set(part.data.subarray(from, from + written), (head * room + positions[row]!) * width);
    }
  }
}

/** A tensor of another size on any axis: what is in both stays where it is, the rest is 0. */
export function resized({ data, dims }: Stored, shape: readonly number[]): Stored {
  const result = { data: new Float32Array(shape.reduce((a, b) => a * b, 1)), dims: shape };
  // Behind the last axis that changes, everything lies together.
  const last = shape.findLastIndex((size, axis) => size !== dims[axis]);
  const block = shape.slice(last + 1).reduce((a, b) => a * b, 1);
  const copyAxis = (axis: number, from: number, to: number): void => {
    const count = axis < 0 ? 1 : Math.min(dims[axis]!, shape[axis]!);
    if (axis === last) {
      const begin = from * (dims[axis] ?? 1) * block;
      result.data.set(data.subarray(begin, begin + count * block), to * (shape[axis] ?? 1) * block);
      return;
    }
    for (let i = 0; i < count; i++) copyAxis(axis + 1, from * dims[axis]! + i, to * shape[axis]! + i);
  };
  copyAxis(Math.min(0, last), 0, 0);
  return result;
}

/** Copies pieces of a tensor, or zeros, into another: three numbers a piece, as `Copy` has them. */
export function copyPieces(from: Float32Array | undefined, to: Float32Array, pieces: Float64Array): void {
  for (let i = 0; i < pieces.length; i += 3) {
    const [read, write, length] = [pieces[i]!, pieces[i + 1]!, pieces[i + 2]!];
    if (from) to.set(from.subarray(read, read + length), write);
    else to.fill(0, write, write + length);
  }
}
