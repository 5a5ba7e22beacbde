import { describe, expect, it } from "vitest";
import { cryptoRandom, Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { chiSquareTail } from "../privacy/statistics.ts";

const bytesOf = (key: number[], count: number) => {
  const bytes = new Uint8Array(count);
  seededRandom(...key).fill(bytes);
  return bytes;
};

describe("sources", () => {
  it("fill buffers that are longer than one call of getRandomValues allows", () => {
    const bytes = new Uint8Array(200_001);
    cryptoRandom.fill(bytes);
    const counts = new Array<number>(256).fill(0);
    for (const byte of bytes) counts[byte]!++;
    expect(Math.min(...counts)).toBeGreaterThan(500);
    expect(bytes.subarray(-64).some((byte) => byte !== 0)).toBe(true);
  });

  it("repeat with a key, and differ with another one", () => {
    expect(bytesOf([7, 1], 103)).toEqual(bytesOf([7, 1], 103));
    for (const other of [[7], [7, 2], [1, 7], [8, 1]]) expect(bytesOf(other, 103)).not.toEqual(bytesOf([7, 1], 103));
  });
});

describe("Draws", () => {
  it("gives uniform bytes, words and integers, mixed in any order", () => {
    const draws = new Draws(seededRandom(3));
    const low = new Array<number>(256).fill(0);
    const high = new Array<number>(256).fill(0);
    const seven = new Array<number>(7).fill(0);
    for (let i = 0; i < 100_000; i++) {
      low[draws.byte()]!++;
      high[draws.uint32() >>> 24]!++;
      seven[draws.integer(7)]!++;
    }
    for (const counts of [low, high, seven]) {
      const expected = counts.map(() => 100_000 / counts.length);
      expect(chiSquareTail(counts, expected)).toBeGreaterThan(1e-3);
    }
  });

  it("uniform53 stays below 1 and uses the low bits", () => {
    const bytes = { fill: (b: Uint8Array) => b.fill(0xff) };
    expect(new Draws(bytes).uniform53()).toBe(1 - 2 ** -53);
  });

  it("bernoulli is exact: 1/3 = 0.555…₁₆, so it takes bytes until one is not 85", () => {
    const decide = (...bytes: number[]) =>
      new Draws({ fill: (buffer: Uint8Array) => buffer.set(bytes) }).bernoulli(1, 3);
    const firstBytes = Array.from({ length: 256 }, (_, byte) => decide(byte, 0));
    expect(firstBytes.filter(Boolean).length).toBe(86);
    expect([decide(85, 84), decide(85, 86), decide(85, 85, 84), decide(85, 85, 86)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  it("bernoulli of 0 and 1 are certain", () => {
    const draws = new Draws(seededRandom(5));
    for (let i = 0; i < 1000; i++) {
      expect(draws.bernoulli(0, 3)).toBe(false);
      expect(draws.bernoulli(3, 3)).toBe(true);
    }
  });
});
