import { readdirSync, readlinkSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { partOf, TokenStream, tokensDigest } from "../../../shared/data/token-stream.ts";
import { sha256 } from "../../../shared/protocol/manifest.ts";

const BLOCK = 2 ** 20;

/** A stream of 5.5 blocks, of which one stays in memory, and its ids. */
function stream(): { tokens: TokenStream; ids: Int32Array } {
  const ids = Int32Array.from({ length: 5.5 * BLOCK }, (_, i) => Math.imul(i, 2_654_435_761) >>> 8);
  const tokens = new TokenStream(1);
  for (let from = 0, size = 1; from < ids.length; from += size, size = (size * 7 + 3) % 500_009) {
    tokens.append(ids.subarray(from, from + size));
  }
  return { tokens, ids };
}

test("gives back what was put into it, in memory or not", () => {
  const { ids, ...of } = stream();
  using tokens = of.tokens;
  expect(tokens.length).toBe(ids.length);
  const place = fc.integer({ min: 0, max: ids.length });
  fc.assert(
    fc.property(
      place,
      fc.oneof(
        place,
        fc.nat(100).map((n) => -n),
      ),
      (a, b) => {
        const [begin, end] = [a, b < 0 ? Math.min(ids.length, a - b) : b].sort((x, y) => x - y) as [number, number];
        const [read, wanted] = [tokens.subarray(begin, end), ids.subarray(begin, end)];
        return read.length === wanted.length && read.every((id, i) => id === wanted[i]);
      },
    ),
    { numRuns: 25 },
  );
  const part = partOf(tokens, BLOCK - 5, 3 * BLOCK);
  expect(part.length).toBe(2 * BLOCK + 5);
  expect([...part.subarray(2, 9)]).toEqual([...ids.subarray(BLOCK - 3, BLOCK + 4)]);
  expect(() => tokens.subarray(0, ids.length + 1)).toThrow(RangeError);
});

test("has the digest of all its ids", async () => {
  const { ids, ...of } = stream();
  using tokens = of.tokens;
  expect(tokensDigest(tokens)).toBe(await sha256(new Uint8Array(ids.buffer)));
  expect(tokensDigest(Int32Array.of(1, 2))).toBe(await sha256(new Uint8Array(Int32Array.of(1, 2).buffer)));
});

// /proc is Linux's.
test.skipIf(process.platform !== "linux")("its file has no name, and is closed when it is disposed of", () => {
  const open = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return /softpost-tokens-.*\(deleted\)$/.test(readlinkSync(`/proc/self/fd/${fd}`));
      } catch {
        return false;
      }
    }).length;
  const { tokens } = stream();
  expect(open()).toBe(1);
  tokens[Symbol.dispose]();
  expect(open()).toBe(0);
});
