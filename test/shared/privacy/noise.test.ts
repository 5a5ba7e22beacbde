import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bernoulliExp, expBounds, fractionOf } from "../../../shared/privacy/bernoulli-exp.ts";
import { discreteGaussianSampler } from "../../../shared/privacy/discrete-gaussian.ts";
import { addNoise, GRID_UNITS_PER_CLIP, gridSigma } from "../../../shared/privacy/noise.ts";
import { poissonSample } from "../../../shared/privacy/sampler.ts";
import { cryptoRandom, Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { chiSquareTail, normalKsTail } from "./statistics.ts";

/** Seeds are fixed, so a test that passes once passes always; the level only says how unlucky the seed may be. */
const LEVEL = 1e-3;

describe("e^(-x) bounds", () => {
  // python -c "from mpmath import *; mp.dps=60; [print(x, floor(exp(-mpf(x))*2**160)) for x in ('0.5','1','37.25','800.125')]"
  it.each([
    [0.5, 886445552261406463456783997105140874900585037706n],
    [1, 537656405612440531293709506882804952831773640106n],
    [37.25, 97124736896702166155136022157794n],
    [800.125, 0n],
  ])("at %d", (x, value) => {
    const [low, high] = expBounds(fractionOf(x), 160n);
    expect(low <= value && value < high).toBe(true);
    expect(high - low).toBeLessThan(4n);
  });

  it("hold the double-precision value", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 40, noNaN: true }), (x) => {
        const [low, high] = expBounds(fractionOf(x), 110n);
        expect(Math.abs(Number(low) / 2 ** 110 / Math.exp(-x) - 1)).toBeLessThan(1e-12);
        expect(high - low).toBeLessThan(4n);
      }),
      { seed: 5 },
    );
  });

  it("decide where 32 bits can't: just below and just above e^(-1)", () => {
    const [first] = expBounds({ numerator: 1n, denominator: 1n }, 96n);
    const one = () => ({ numerator: 1n, denominator: 1n });
    const sourceOf = (bits: bigint) => {
      const words = [64n, 32n, 0n].map((shift) => Number((bits >> shift) & 0xffffffffn));
      return { fill: (bytes: Uint8Array<ArrayBuffer>) => new Uint32Array(bytes.buffer).set(words.toReversed(), 1021) };
    };
    expect(bernoulliExp(1, one, new Draws(sourceOf(first - 2n)))).toBe(true);
    expect(bernoulliExp(1, one, new Draws(sourceOf(first + 2n)))).toBe(false);
  });
});

it("noise does not depend on the sum that it is added to, nor a sample on anything but N, B and the generator", () => {
  const whole = fc.integer({ min: -(2 ** 28), max: 2 ** 28 });
  fc.assert(
    fc.property(fc.array(whole, { minLength: 1, maxLength: 40 }), fc.nat(), (sum, seed) => {
      const noised = addNoise(sum, 1.5, seededRandom(seed));
      const alone = addNoise(new Array(sum.length).fill(0), 1.5, seededRandom(seed));
      expect(Array.from(noised, (value, i) => value - sum[i]!)).toEqual(Array.from(alone));
      // Records' draws come one after the other: those that both data sets have are drawn alike.
      const [fewer, more] = [poissonSample(500, 500, seededRandom(seed)), poissonSample(501, 501, seededRandom(seed))];
      expect([...more]).toEqual([...fewer, 500]);
    }),
    { seed: 6, numRuns: 50 },
  );
});

describe("the discrete Gaussian", () => {
  it.each([0.4, 1, 2.75, 20])("has the right probabilities at sigma %d", (sigma) => {
    const n = 200_000;
    const reach = Math.max(1, Math.floor(3.2 * sigma));
    const counts = new Array<number>(2 * reach + 1).fill(0);
    const draw = discreteGaussianSampler(sigma, seededRandom(11, sigma * 100));
    let outside = 0;
    for (let i = 0; i < n; i++) {
      const x = draw();
      if (Math.abs(x) <= reach) counts[x + reach]!++;
      else outside++;
    }
    const weight = (x: number) => Math.exp((-x * x) / (2 * sigma * sigma));
    let total = 0;
    for (let x = -1000; x <= 1000; x++) total += weight(x);
    const expected = counts.map((_, i) => (n * weight(i - reach)) / total);
    const expectedOutside = n - expected.reduce((a, b) => a + b);
    expect(chiSquareTail([...counts, outside], [...expected, Math.max(expectedOutside, 1e-9)])).toBeGreaterThan(LEVEL);
  });

  it.each([1000.5, gridSigma(1.1), 2 ** 28, 2 ** 44])("is normal at sigma %d", (sigma) => {
    const draw = discreteGaussianSampler(sigma, seededRandom(12, sigma));
    const sample = Float64Array.from({ length: 100_000 }, () => draw() / sigma);
    expect(normalKsTail(sample)).toBeGreaterThan(LEVEL);
    const variance = sample.reduce((sum, x) => sum + x * x, 0) / sample.length;
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / sample.length));
  });

  it("gives whole numbers, also from the cryptographic source", () => {
    const draw = discreteGaussianSampler(12_345.678, cryptoRandom);
    for (let i = 0; i < 100; i++) expect(Number.isSafeInteger(draw())).toBe(true);
  });

  it("refuses a sigma that it can't draw for", () => {
    for (const sigma of [0, -1, Number.NaN, 2 ** 45]) {
      expect(() => discreteGaussianSampler(sigma, cryptoRandom)).toThrow(RangeError);
    }
  });
});

describe("noise on a sum", () => {
  it("has the plan's standard deviation in every coordinate and leaves the sum in the middle", () => {
    const n = 50_000;
    const sum = Float64Array.from({ length: n }, (_, i) => (i - n / 2) * 1_000_003);
    const noised = addNoise(sum, 0.7, seededRandom(13));
    const unit = 0.7 * GRID_UNITS_PER_CLIP;
    expect(normalKsTail(noised.map((x, i) => (x - sum[i]!) / unit))).toBeGreaterThan(LEVEL);
    expect(noised.every(Number.isSafeInteger)).toBe(true);
  });

  it("repeats with a seed, differs without", () => {
    const sum = [1, -2, 3];
    expect(addNoise(sum, 1, seededRandom(1))).toEqual(addNoise(sum, 1, seededRandom(1)));
    expect(addNoise(sum, 1, cryptoRandom)).not.toEqual(addNoise(sum, 1, cryptoRandom));
  });

  it("is wider than the accountant's continuous noise by 9 grid units²", () => {
    expect(gridSigma(0.01) ** 2 - (0.01 * GRID_UNITS_PER_CLIP) ** 2).toBeCloseTo(9, 6);
  });

  it("refuses a sum that isn't exact", () => {
    for (const bad of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => addNoise([bad], 1, cryptoRandom)).toThrow(RangeError);
    }
  });
});

describe("Poisson samples", () => {
  it("take every record with the same probability, independently of each other", () => {
    const [records, batchSize, rounds] = [40, 7, 40_000];
    const random = seededRandom(14);
    const taken = new Array<number>(records).fill(0);
    const sizes = new Array<number>(records + 1).fill(0);
    let together = 0;
    for (let round = 0; round < rounds; round++) {
      const sample = poissonSample(records, batchSize, random);
      sizes[sample.length]!++;
      for (const record of sample) taken[record]!++;
      if (sample.includes(3) && sample.includes(4)) together++;
    }
    const q = batchSize / records;
    const takenTail = chiSquareTail(
      taken.flatMap((count) => [count, rounds - count]),
      taken.flatMap(() => [rounds * q, rounds * (1 - q)]),
    );
    expect(takenTail).toBeGreaterThan(LEVEL);
    expect(Math.abs(together - rounds * q * q)).toBeLessThan(4 * Math.sqrt(rounds * q * q));
    let probability = (1 - q) ** records;
    const binomial = sizes.map((_, k) => {
      const here = rounds * probability;
      probability *= ((records - k) / (k + 1)) * (q / (1 - q));
      return here;
    });
    const inside = (values: number[]) => {
      const middle = values.slice(1, 17);
      return [...middle, rounds - middle.reduce((a, b) => a + b)];
    };
    expect(chiSquareTail(inside(sizes), inside(binomial))).toBeGreaterThan(LEVEL);
  });

  it("are ascending, distinct, in range; all at B = N, none at B = 0", () => {
    const sample = poissonSample(100_000, 500, cryptoRandom);
    expect(sample.every((record, i) => record < 100_000 && (i === 0 || record > sample[i - 1]!))).toBe(true);
    expect(poissonSample(9, 9, cryptoRandom)).toEqual(Int32Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8]));
    expect(poissonSample(9, 0, cryptoRandom).length).toBe(0);
  });
});
