/** Units of privacy: what they add, what an attacker finds, and how their guarantees compose. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { epsilonBounds, groupEpsilonBounds } from "../../../shared/privacy/accountant.ts";
import { composeEntries } from "../../../shared/privacy/ledger.ts";
import { addNoise, GRID_UNITS_PER_CLIP } from "../../../shared/privacy/noise.ts";
import { poissonSampleOfUnits } from "../../../shared/privacy/sampler.ts";
import type { RandomSource } from "../../../shared/protocol/random.ts";
import { clippedMean } from "../../../shared/training/unit-sums.ts";

const squaredNorm = (vector: Float64Array) => vector.reduce((sum, x) => sum + BigInt(x) ** 2n, 0n);

test("a unit moves the sum by whole numbers of norm at most the clip norm, exactly, whatever its rows are", () => {
  const rows = fc.integer({ min: 1, max: 40 }).chain((size) =>
    fc.array(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: size, maxLength: size }), {
      minLength: 1,
      maxLength: 9,
    }),
  );
  fc.assert(
    fc.property(rows, fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (gradients, clip) => {
      const vector = clippedMean(gradients, clip);
      if (vector === undefined) return;
      expect(vector.every(Number.isInteger)).toBe(true);
      expect(squaredNorm(vector) <= BigInt(GRID_UNITS_PER_CLIP) ** 2n).toBe(true);
    }),
    { numRuns: 300, seed: 19 },
  );
});

/** Runs of a two-unit toy: the first unit has these rows, all with one gradient of norm C, or is not there. */
const RUNS = 20_000;
const [STEPS, SIGMA, DELTA, ROWS] = [2, 2, 1e-5, 8];

/** Random enough for counting, and quick (xorshift32: Marsaglia 2003): every sample asks for thousands of bytes. */
function quickRandom(seed: number): RandomSource {
  let state = seed * 0x9e3779b9;
  return {
    fill(bytes) {
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
      for (let i = 0; i < words.length; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        words[i] = state;
      }
    },
  };
}

/** What an observer adds up: the noised sums in the direction of the unit's gradients. */
function observed(there: boolean, sampler: "units" | "rows", sigma: number, seed: number): Float64Array {
  const random = quickRandom(seed);
  const own = Array.from({ length: ROWS }, (_, i) => i);
  const byUnit = [own, [ROWS]];
  const byRow = [...own, ROWS].map((row) => [row]);
  // In either case a unit is drawn with probability one half.
  const units = sampler === "units" ? byUnit : [...byRow, [ROWS + 1]];
  const gradientOf = (row: number) => (there && row < ROWS ? [1] : [0]);
  return Float64Array.from({ length: RUNS }, () => {
    let seen = 0;
    for (let step = 0; step < STEPS; step++) {
      let sum = 0;
      for (const rows of poissonSampleOfUnits(units, units.length / 2, 4, random)) {
        sum += clippedMean(Array.from(rows, gradientOf), 1)![0]!;
      }
      seen += sigma > 0 ? addNoise([sum], sigma, random)[0]! : sum;
    }
    return seen / GRID_UNITS_PER_CLIP;
  });
}

/** The largest probability that Binomial(n, p) could have and still come to `hits` or fewer with 0.5 %; 1 − p for the smallest. */
function upperLimit(hits: number, n: number): number {
  const tailBelow = (p: number) => {
    let term = n * Math.log1p(-p);
    let sum = Math.exp(term);
    for (let k = 1; k <= hits; k++) {
      term += Math.log(((n - k + 1) / k) * (p / (1 - p)));
      sum += Math.exp(term);
    }
    return sum;
  };
  let [low, high] = [hits / n, 1 - 1e-12];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (tailBelow(middle) > 0.005) low = middle;
    else high = middle;
  }
  return high;
}

/** ε that the best threshold shows with 99 % confidence: chosen on half of the runs, counted on the other half. */
function attackedEpsilon(sampler: "units" | "rows", sigma: number): number {
  const [members, others] = [observed(true, sampler, sigma, 1), observed(false, sampler, sigma, 2)];
  const half = RUNS / 2;
  const above = (sample: Float64Array, threshold: number) => sample.filter((x) => x >= threshold).length;
  const shown = (from: number, threshold: number) => {
    const part = (sample: Float64Array) => sample.subarray(from, from + half);
    const missed = half - above(part(members), threshold);
    const least = 1 - upperLimit(missed, half);
    return Math.log(Math.max(least - DELTA, 1e-9) / upperLimit(above(part(others), threshold), half));
  };
  const thresholds = Array.from({ length: 40 }, (_, i) => (i - 5) / 2);
  const best = thresholds.reduce((a, b) => (shown(0, b) > shown(0, a) ? b : a));
  return shown(half, best);
}

const stated = () => epsilonBounds([{ sampleRate: 0.5, noiseMultiplier: SIGMA, steps: STEPS }], DELTA).upper;

test("an attack on 20 000 runs stays below the stated epsilon with 99 % confidence", () => {
  const shown = attackedEpsilon("units", SIGMA);
  expect(shown).toBeLessThan(stated());
  expect(shown).toBeGreaterThan(0);
});

test("the attack finds rows that are sampled instead of units, and noise that is switched off", () => {
  expect(attackedEpsilon("rows", SIGMA)).toBeGreaterThan(stated());
  expect(attackedEpsilon("units", 0)).toBeGreaterThan(stated());
});

test("a drawn unit's rows are a uniform subset, and few enough need no randomness", () => {
  const random = quickRandom(3);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const [rows] = poissonSampleOfUnits([[4, 7, 8, 9]], 1, 2, random);
    counts.set(String(rows), (counts.get(String(rows)) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(["4,7", "4,8", "4,9", "7,8", "7,9", "8,9"]);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

const entry = { time: "2026-01-01T00:00:00Z", sampleRate: 0.1, noiseMultiplier: 2, steps: 100, delta: 1e-5 };
const user = { field: "user", rowsPerUnit: 4 };

test("runs about one unit compose about it; about different ones only an example's guarantee remains, at twice the sensitivity", () => {
  const one = [
    { ...entry, runId: "a", unit: user },
    { ...entry, runId: "b", unit: { ...user, rowsPerUnit: 9 } },
  ];
  const together = composeEntries(one, 1e-5);
  expect(together.unit).toEqual(user);
  expect(together.upper).toBe(epsilonBounds([{ ...entry, steps: 200 }], 1e-5).upper);
  const mixed = composeEntries([one[0]!, { ...entry, runId: "c" }], 1e-5);
  expect(mixed.unit).toBeUndefined();
  expect(mixed.upper).toBeGreaterThan(together.upper);
  const replaced = epsilonBounds([{ ...entry, steps: 200 }], 1e-5, "replace-one");
  expect(mixed.upper).toBeLessThan(replaced.upper);
});

test("a group's epsilon is from its own loss distribution: more than one's, and what a closed form says at q = 1", () => {
  const run = { sampleRate: 0.1, noiseMultiplier: 2, steps: 50 };
  const one = epsilonBounds([run], 1e-5);
  const two = groupEpsilonBounds(run, 2, 1e-5);
  expect(two.lower).toBeGreaterThan(one.upper);
  const whole = groupEpsilonBounds({ sampleRate: 1, noiseMultiplier: 20, steps: 4 }, 5, 1e-5);
  const alike = epsilonBounds([{ sampleRate: 1, noiseMultiplier: 4, steps: 4 }], 1e-5);
  expect(Math.abs(whole.upper / alike.upper - 1)).toBeLessThan(1e-12);
});
