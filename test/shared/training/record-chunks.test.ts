import fc from "fast-check";
import { expect, test } from "vitest";
import { chunksOf, longestText, paddedLength, rowsAtOnce } from "../../../shared/training/record-chunks.ts";

const lengths = fc
  .record({ virtualTokens: fc.integer({ min: 1, max: 300 }), room: fc.integer({ min: 4, max: 2000 }), part: fc.nat() })
  .map(({ virtualTokens, room, part }) => {
    const positions = virtualTokens + room;
    return { virtualTokens, positions, length: 1 + (part % longestText(virtualTokens, positions)) };
  });

test("a text is padded to an aligned length that fits the model, is not much longer, and grows with the text", () => {
  fc.assert(
    fc.property(lengths, ({ virtualTokens, positions, length }) => {
      const padded = paddedLength(length, virtualTokens, positions);
      expect((virtualTokens + padded) % 4).toBe(0);
      expect(padded).toBeGreaterThanOrEqual(length);
      expect(padded).toBeLessThan(length * 1.5 + 20);
      expect(virtualTokens + padded).toBeLessThanOrEqual(positions);
      if (length > 1) expect(paddedLength(length - 1, virtualTokens, positions)).toBeLessThanOrEqual(padded);
    }),
  );
});

test("there are few different padded lengths", () => {
  const all = Array.from({ length: 900 }, (_, i) => paddedLength(i + 1, 100, 1024));
  expect([...new Set(all)]).toEqual([16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 924]);
});

test("chunks have every record once, of one padded length, and no more than the rows", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(1000)), fc.integer({ min: 1, max: 9 }), (sample, rows) => {
      const lengthOf = (record: number) => record % 4;
      const chunks = chunksOf(sample, lengthOf, rows);
      expect(chunks.flatMap(({ records }) => records).sort()).toEqual(sample.sort());
      for (const { length, records } of chunks) {
        expect(records.length).toBeGreaterThan(0);
        expect(records.length).toBeLessThanOrEqual(rows);
        expect(records.every((record) => lengthOf(record) === length)).toBe(true);
      }
      // As few as there can be.
      expect(chunks.filter(({ records }) => records.length < rows).length).toBeLessThanOrEqual(4);
    }),
  );
});

test("a batch has about half the root of the expected sample's rows", () => {
  expect([1, 2, 8, 32, 64, 256, 1024, 1e6].map(rowsAtOnce)).toEqual([1, 1, 2, 4, 4, 8, 16, 32]);
});
