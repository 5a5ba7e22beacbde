import fc from "fast-check";
import { expect, test } from "vitest";
import { resized } from "../../../shared/graph/variable-memory.ts";

/** Where an element lies in a tensor. */
function offset(at: readonly number[], shape: readonly number[]): number {
  return at.reduce((sum, index, axis) => sum * shape[axis]! + index, 0);
}

function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, size) => all.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
    [[]],
  );
}

test("what is in both shapes stays where it is, and the rest is 0", () => {
  const sizes = fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 3 })));
  fc.assert(
    fc.property(sizes, sizes, (from, to) => {
      const data = Float32Array.from({ length: from.reduce((a, b) => a * b, 1) }, (_, i) => i + 1);
      const result = resized({ data, dims: from }, to);
      expect(result.dims).toEqual(to);
      const wanted = new Float32Array(to.reduce((a, b) => a * b, 1));
      for (const at of indices(to)) {
        if (at.every((index, axis) => index < from[axis]!)) wanted[offset(at, to)] = data[offset(at, from)]!;
      }
      expect(result.data).toEqual(wanted);
    }),
  );
});
