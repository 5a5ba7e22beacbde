import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epsilonOf } from "../../../shared/privacy/accountant.ts";
import { noiseFor } from "../../../shared/privacy/calibrate.ts";
import { createPlan, type PlanRequest } from "../../../shared/privacy/plan.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { cases } from "./cases.ts";

const request: PlanRequest = { records: 6300, batchSize: 64, steps: 300, clip: 0.5, delta: 1e-5, epsilon: 8 };

function faultsOf(change: Partial<PlanRequest>): string[] {
  try {
    createPlan({ ...request, accountant: "rdp", ...change });
  } catch (error) {
    return (error as ProblemError).faults.map((fault) => fault.at);
  }
  return [];
}

describe("noiseFor by RDP", () => {
  it.each(cases.inverse!.rows)("epsilon $target_epsilon, q $sampling_rate, $steps steps", (row) => {
    const target = { epsilon: row.target_epsilon, delta: row.delta, sampleRate: row.sampling_rate, steps: row.steps };
    const { noiseMultiplier, epsilon } = noiseFor(target, "rdp");
    expect(Math.abs(noiseMultiplier / row.sigma_rdp_exact - 1)).toBeLessThan(1e-5);
    expect(epsilon).toBeLessThanOrEqual(row.target_epsilon);
  });

  it("never exceeds the target, and what it returns is what the accountant says", () => {
    const target = fc.record({
      epsilon: fc.double({ min: 0.05, max: 50, noNaN: true }),
      delta: fc.double({ min: 1e-9, max: 1e-3, noNaN: true }),
      sampleRate: fc.double({ min: 1e-4, max: 1, noNaN: true }),
      steps: fc.integer({ min: 1, max: 10_000 }),
    });
    fc.assert(
      fc.property(target, (target) => {
        const { noiseMultiplier, epsilon } = noiseFor(target, "rdp");
        expect(epsilon).toBeLessThanOrEqual(target.epsilon);
        const at = (sigma: number) => epsilonOf([{ ...target, noiseMultiplier: sigma }], target.delta, "rdp");
        expect(at(noiseMultiplier)).toBe(epsilon);
        expect(at(noiseMultiplier * (1 - 1e-4))).toBeGreaterThan(target.epsilon);
      }),
      { numRuns: 25, seed: 4 },
    );
  });

  it("says so when no noise is enough", () => {
    const target = { epsilon: 1e-6, delta: 1e-12, sampleRate: 1, steps: 1e8 };
    expect(() => noiseFor(target, "rdp")).toThrow(/can't be reached/);
  });
});

describe("createPlan", () => {
  it("couples everything that the guarantee depends on", () => {
    const plan = createPlan({ ...request, accountant: "rdp" });
    expect(plan).toMatchObject({
      sampler: "poisson",
      records: 6300,
      batchSize: 64,
      sampleRate: 64 / 6300,
      steps: 300,
      clip: 0.5,
      delta: 1e-5,
      neighbouring: "add-or-remove-one",
      accountant: "rdp",
    });
    expect(plan.epsilon).toBeLessThanOrEqual(8);
    expect(plan.epsilon).toBe(epsilonOf([plan], plan.delta, plan.accountant));
    const same = createPlan({
      ...request,
      epsilon: undefined,
      noiseMultiplier: plan.noiseMultiplier,
      accountant: "rdp",
    });
    expect(same).toEqual(plan);
  });

  it.each<[string, Partial<PlanRequest>, string[]]>([
    ["shuffled batches", { sampler: "shuffle" }, ["sampler"]],
    ["a fractional batch", { batchSize: 6.5 }, ["batchSize"]],
    ["more than all records", { batchSize: 6301 }, ["batchSize"]],
    ["a delta above 1/N", { delta: 1 / 6299 }, ["delta"]],
    ["a delta of 0", { delta: 0 }, ["delta"]],
    ["no target", { epsilon: undefined }, ["epsilon"]],
    ["two targets", { noiseMultiplier: 1 }, ["epsilon"]],
    ["an epsilon of 0", { epsilon: 0 }, ["epsilon"]],
    ["no noise", { epsilon: undefined, noiseMultiplier: 0 }, ["noiseMultiplier"]],
    ["NaN everywhere", { clip: Number.NaN, steps: Number.NaN, delta: Number.NaN }, ["clip", "steps", "delta"]],
    ["a clip norm above float32", { clip: 1e39 }, ["clip"]],
    ["a clip norm whose noise has no square in float32", { clip: 1e18 }, ["clip"]],
    ["a clip norm whose square float32 takes for 0", { clip: 1e-24 }, ["clip"]],
    ["a clip norm near what float32 takes for 0", { clip: 9e-13 }, ["clip"]],
    ["no records", { records: 0 }, ["records", "batchSize"]],
  ])("refuses %s", (_, change, faults) => {
    expect(faultsOf(change)).toEqual(faults);
  });

  it("names all faults in one ProblemError", () => {
    expect(() => createPlan({ ...request, clip: -1, steps: 1.5 })).toThrow(ProblemError);
    expect(() => createPlan({ ...request, clip: -1, steps: 1.5 })).toThrow(/clip: -1 .*steps: 1.5/);
  });
});
