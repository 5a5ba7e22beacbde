import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRange } from "../../../edge/http/send-object.ts";

test.each([
  ["bytes=0-9", { offset: 0, length: 10 }],
  ["bytes=90-", { offset: 90, length: 10 }],
  ["bytes=90-200", { offset: 90, length: 10 }],
  ["bytes=-10", { offset: 90, length: 10 }],
  ["bytes=-200", { offset: 0, length: 100 }],
  [null, undefined],
  ["bytes=5-1", undefined],
  ["bytes=-", undefined],
  ["bytes=0-1,3-4", undefined],
  ["lines=0-1", undefined],
])("%s of 100 bytes", (header, expected) => {
  expect(parseRange(header, 100)).toEqual(expected);
});

test.each(["bytes=100-", "bytes=100-110", "bytes=-0"])("%s of 100 bytes can't be satisfied", (header) => {
  expect(() => parseRange(header, 100)).toThrow("can't be satisfied");
});

test("a range never reaches outside the file", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(1200), fc.nat(1200), (size, first, last) => {
      try {
        const range = parseRange(`bytes=${first}-${last}`, size);
        if (range) expect(range.offset + range.length).toBeLessThanOrEqual(size);
      } catch (error) {
        expect((error as { status: number }).status).toBe(416);
      }
    }),
  );
});
