import fc from "fast-check";
import { expect, test } from "vitest";
import { FloatStream, requireTemporary, temporarySpace } from "../../../shared/data/float-stream.ts";

const BLOCK = 2 ** 20;

test("gives back the very bits that were put into it, in memory or not", () => {
  const bits = Int32Array.from({ length: 3.5 * BLOCK }, (_, i) => Math.imul(i, 2_654_435_761));
  const numbers = new Float32Array(bits.buffer);
  using stream = new FloatStream("states", 1);
  for (let from = 0; from < numbers.length; from += 300_007) stream.append(numbers.subarray(from, from + 300_007));
  expect(stream.length).toBe(numbers.length);
  const place = fc.nat(numbers.length);
  fc.assert(
    fc.property(place, place, (a, b) => {
      const [begin, end] = [Math.min(a, b), Math.min(Math.max(a, b), Math.min(a, b) + 1000)];
      const { buffer, length } = stream.subarray(begin, end);
      return length === end - begin && new Int32Array(buffer).every((each, i) => each === bits[begin + i]);
    }),
  );
});

test("what has no room is refused with how much it is and what to do", async () => {
  expect(() => requireTemporary(5e9, 5e9, "It", "Fewer")).not.toThrow();
  expect(() => requireTemporary(5e9, 4e9, "The states", "fewer texts")).toThrow(
    /states may take 5\.00 GB in files, and .* has 4\.00: fewer texts take less, and TMPDIR names another folder/,
  );
  expect(await temporarySpace()).toBeGreaterThan(0);
});
