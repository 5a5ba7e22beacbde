import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byLength, fileOrder, makeBatch, shuffled } from "../../../shared/data/batches.ts";
import { seededRandom } from "../../../shared/protocol/random.ts";

const encodedOf = (lengths: number[]) =>
  lengths.map((length, i) => ({ ids: new Int32Array(length).fill(i + 1), readAt: Math.max(0, length - 2) }));
const lengthsOf = (encoded: { ids: Int32Array }[]) => Int32Array.from(encoded, ({ ids }) => ids.length);
const lists = (batches: Int32Array[]) => batches.map((batch) => [...batch]);

test("rows are padded on the right to the longest of the batch", () => {
  expect(makeBatch(encodedOf([1, 3, 9, 2]), Int32Array.of(3, 1, 0))).toEqual({
    ids: Int32Array.of(4, 4, 0, 2, 2, 2, 1, 0, 0),
    read: Int32Array.of(0, 1, 0),
    rows: 3,
    length: 3,
    lengths: Int32Array.of(2, 3, 1),
    examples: Int32Array.of(3, 1, 0),
  });
});

test("a batch may be empty", () => {
  expect(makeBatch(encodedOf([1]), new Int32Array())).toMatchObject({ rows: 0, length: 0, ids: new Int32Array() });
});

test("file order", () => {
  expect(lists(fileOrder(5, 2))).toEqual([[0, 1], [2, 3], [4]]);
});

test("by length", () => {
  expect(lists(byLength(Int32Array.of(3, 1, 2), 2))).toEqual([[1, 2], [0]]);
});

describe("shuffled batches", () => {
  test("hold every example once, whatever the lengths", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 300 }), fc.integer({ min: 1, max: 7 }), (lengths, size) => {
        const batches = shuffled(Int32Array.from(lengths), size, seededRandom(1));
        const seen = batches.flatMap((batch) => [...batch]).sort((a, b) => a - b);
        expect(seen).toEqual(lengths.map((_, i) => i));
        expect(batches.filter((batch) => batch.length !== size).length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("depend on nothing but the seed", () => {
    const lengths = Int32Array.from({ length: 100 }, (_, i) => (i * 7) % 13);
    expect(shuffled(lengths, 4, seededRandom(1))).toEqual(shuffled(lengths, 4, seededRandom(1)));
    expect(shuffled(lengths, 4, seededRandom(1))).not.toEqual(shuffled(lengths, 4, seededRandom(2)));
  });

  test("pad far less than unsorted ones", () => {
    const draws = seededRandom(3);
    const bytes = new Uint8Array(1000);
    draws.fill(bytes);
    const encoded = encodedOf([...bytes].map((byte) => 1 + (byte % 100)));
    const padded = (batches: Int32Array[]) =>
      batches.map((batch) => makeBatch(encoded, batch).ids.length).reduce((a, b) => a + b);
    const real = encoded.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(padded(shuffled(lengthsOf(encoded), 16, seededRandom(1))) / real).toBeLessThan(1.1);
    expect(padded(fileOrder(1000, 16)) / real).toBeGreaterThan(1.7);
  });
});
