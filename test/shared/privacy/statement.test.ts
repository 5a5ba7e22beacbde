import { describe, expect, it } from "vitest";
import { gdpMu, highestTruePositiveRate } from "../../../shared/privacy/attack.ts";
import { gaussianDelta } from "../../../shared/privacy/gaussian.ts";
import { createPlan } from "../../../shared/privacy/plan.ts";
import { toleranceAt } from "../../../shared/privacy/pld.ts";
import { attackFigures, explainPrivacy, verifyRecord } from "../../../shared/privacy/statement.ts";
import { privacyRecordSchema } from "../../../shared/protocol/manifest.ts";

const plan = createPlan({ records: 6300, batchSize: 64, steps: 300, clip: 0.5, delta: 1e-5, noiseMultiplier: 0.9 });
const record = privacyRecordSchema.parse(plan);
const faultsOf = (change: Partial<typeof record>) => verifyRecord({ ...record, ...change }).faults.map(({ at }) => at);

describe("verifyRecord", () => {
  it("believes what a plan says, by either accountant", () => {
    const { epsilon, faults } = verifyRecord(record);
    expect(faults).toEqual([]);
    expect(Math.abs(epsilon - record.epsilon)).toBeLessThanOrEqual(toleranceAt(epsilon));
    const byRdp = createPlan({ ...plan, epsilon: undefined, accountant: "rdp" });
    expect(verifyRecord(privacyRecordSchema.parse(byRdp)).faults).toEqual([]);
  });

  it("lets a record promise less than it could", () => {
    const { epsilon, faults } = verifyRecord({ ...record, epsilon: record.epsilon * 2 });
    expect(faults).toEqual([]);
    expect(epsilon).toBeLessThan(record.epsilon * 2);
  });

  it.each<[string, Partial<typeof record>, string[]]>([
    ["too small an epsilon", { epsilon: record.epsilon * 0.99 }, ["epsilon"]],
    ["more steps than accounted", { steps: record.steps + 30 }, ["epsilon"]],
    ["less noise than accounted", { noiseMultiplier: 0.8 }, ["epsilon"]],
    ["a rate that isn't B/N", { sampleRate: 0.01 }, ["sampleRate"]],
    ["more records than sampled from", { records: 63_000 }, ["sampleRate"]],
    ["a delta above 1/N", { delta: 1e-3 }, ["delta"]],
    [
      "noise out of range, and a fractional batch",
      { noiseMultiplier: 1e-9, batchSize: 64.5 },
      ["noiseMultiplier", "batchSize", "sampleRate"],
    ],
  ])("refuses %s", (_, change, faults) => {
    expect(faultsOf(change)).toEqual(faults);
  });
});

describe("a record that takes much work to check", () => {
  // A million steps of q = 1e-7, sigma = 0.5: dp_accounting's bounds are 0.033 (PLD) and 2.518 (RDP).
  const sparse = {
    ...record,
    records: 1e7,
    batchSize: 1,
    sampleRate: 1e-7,
    noiseMultiplier: 0.5,
    steps: 1e6,
    delta: 1e-9,
  };

  it("is believed if it claims what RDP gives, and refused with both bounds if limited work can't confirm it", () => {
    expect(verifyRecord({ ...sparse, epsilon: 2.5176 }).faults).toEqual([]);
    const { epsilon, faults } = verifyRecord({ ...sparse, epsilon: 0.034 });
    expect(faults).toEqual([{ at: "epsilon", message: expect.stringMatching(/can't be confirmed.*claim/) }]);
    expect(epsilon).toBeGreaterThan(0.034);
  });
});

describe("explainPrivacy", () => {
  it("says everything that a statement must say", () => {
    const text = explainPrivacy(record, attackFigures(record), undefined);
    for (const needed of [
      /\(ε, δ\) = \([\d.]+, 0\.00001\)/,
      /Unit +one row/,
      /added or removed/,
      /privacy-loss distribution/,
      /N = 6300 rows; N counts as public/,
      /Poisson.*64\/6300/,
      /300 steps.*norm 0\.5/,
      /somebody with 2 rows: ε [\d.]+ at the same δ/,
      /noise multiplier 0\.9; cryptographic/,
      /Released/,
      /Not covered/,
      /μ = /,
      /0\.1 % +[\d.]+ % +0\.1 %\n +1 % +[\d.]+ % +1 %\n +10 % +[\d.]+ % +10 %/,
      /Of 100 people whose row was used,\n +he finds at most [\d.]+ if he may wrongly name 1 of 100 others/,
    ]) {
      expect(text).toMatch(needed);
    }
    expect(text).not.toMatch(/began with/);
  });

  it("says that it doesn't cover a prompt that the run began with", () => {
    expect(explainPrivacy(record, [], "ab".repeat(32))).toMatch(
      /Not covered +the prompt.*began with \(abababababab…\)/,
    );
  });
});

describe("a record about units with several rows", () => {
  const unit = { field: "user", rowsPerUnit: 4 };

  it("says whose data it is about", () => {
    const text = explainPrivacy({ ...record, unit }, [{ falsePositives: 0.01, truePositives: 0.2 }], undefined);
    expect(text).toMatch(/Unit +all rows of one user/);
    expect(text).toMatch(/mean gradient of at most 4 rows of a drawn user/);
    expect(text).toMatch(/whose rows were used \(one user each\),\n +he finds at most 20 if/);
  });

  it("is refused if it claims too little for a group, or names no field", () => {
    const claims = (epsilon: number) => faultsOf({ unit, groups: [{ group: 2, epsilon }] });
    expect(claims(record.epsilon)).toEqual(["groups/0/epsilon"]);
    expect(claims(record.epsilon * 3)).toEqual([]);
    expect(privacyRecordSchema.safeParse({ ...record, unit: { field: "", rowsPerUnit: 4 } }).success).toBe(false);
    expect(privacyRecordSchema.safeParse({ ...record, unit: { field: "user", rowsPerUnit: 0 } }).success).toBe(false);
  });

  it("has no plan for one unit only", () => {
    const one = { records: 1, batchSize: 1, steps: 1, clip: 1, delta: 1e-5, noiseMultiplier: 1, unit };
    expect(() => createPlan(one)).toThrow(/one unit only/);
  });
});

describe("what an attacker can do", () => {
  it("gdpMu is the Gaussian mechanism with the same epsilon and delta", () => {
    for (const [epsilon, delta] of [
      [0.1, 1e-5],
      [8, 1e-6],
    ] as const) {
      expect(gaussianDelta(gdpMu(epsilon, delta), epsilon) / delta).toBeCloseTo(1, 9);
    }
  });

  it("the rate is e^ε times the false positives where that is small, and never more than 1", () => {
    expect(highestTruePositiveRate(1, 1e-5, 0.001)).toBeCloseTo(Math.E * 0.001 + 1e-5, 12);
    expect(highestTruePositiveRate(0, 0, 0.3)).toBeCloseTo(0.3, 12);
    expect(highestTruePositiveRate(50, 0, 0.01)).toBeCloseTo(1, 12);
    // On the flat side: FPR 0.5 at ε = ln 3 allows 1 − 0.5/3.
    expect(highestTruePositiveRate(Math.log(3), 0, 0.5)).toBeCloseTo(1 - 0.5 / 3, 12);
  });
});
