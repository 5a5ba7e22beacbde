import { describe, expect, it } from "vitest";
import { epsilonBounds, groupEpsilonBounds } from "../../../shared/privacy/accountant.ts";
import { admit, composeEntries, type LedgerEntry, ledgerEntrySchema } from "../../../shared/privacy/ledger.ts";
import { rdpEpsilon } from "../../../shared/privacy/rdp.ts";
import { REPETITIONS, type Repetitions, repeatAndSelectEpsilon } from "../../../shared/privacy/repeat-and-select.ts";
import { stepsFor } from "../../../shared/privacy/steps.ts";
import { cases, runOf } from "./cases.ts";

const entry = (runId: string, change: Partial<LedgerEntry> = {}): LedgerEntry => ({
  runId,
  time: "2026-11-24T08:00:00.000Z",
  sampleRate: 0.01,
  noiseMultiplier: 1,
  steps: 500,
  delta: 1e-5,
  ...change,
});

describe("group privacy", () => {
  it.each(cases.group_privacy!.rows)("$group_size records a user, q = $sampling_rate", (row) => {
    const { lower, upper } = groupEpsilonBounds(runOf(row), row.group_size, row.delta);
    const reference = row.epsilon_group_tight_mog;
    expect(upper).toBeGreaterThanOrEqual(reference * (1 - 1e-6) - 1e-7);
    expect(upper).toBeLessThanOrEqual(reference * 1.001 + 1e-4);
    expect(lower).toBeLessThanOrEqual(reference * (1 + 1e-6));
  });
});

describe("repeat and select", () => {
  it.each(cases.hyperparameter_search_repeat_and_select!.rows)("$mean_trials trials", (row) => {
    const epsilon = repeatAndSelectEpsilon(runOf(row), { mean: row.mean_trials, trials: "geometric" }, row.delta);
    expect(epsilon).toBeLessThanOrEqual(row.epsilon_rdp_repeat_and_select * (1 + 1e-9));
    expect(epsilon).toBeGreaterThan(row.epsilon_rdp_repeat_and_select * (1 - 1e-4));
  });

  it("costs more than one trial, even with one on average", () => {
    const run = { sampleRate: 0.01, noiseMultiplier: 1, steps: 100 };
    for (const trials of REPETITIONS) {
      expect(repeatAndSelectEpsilon(run, { mean: 1, trials }, 1e-5)).toBeGreaterThan(rdpEpsilon([run], 1e-5).epsilon);
    }
  });

  // dp_accounting 0.6.0 (b5b0286): compute_epsilon(orders, _compute_rdp_repeat_and_select(orders, T * orders / (2 * sigma**2), mean, shape), delta)
  // with its default orders and shape 0, 1, inf
  it.each<[number, number, number, number, Repetitions, number]>([
    [20, 10, 1e-6, 100, "logarithmic", 1.4022324946097748],
    [20, 10, 1e-6, 100, "geometric", 1.7804828866778102],
    [20, 10, 1e-6, 100, "poisson", 5.415376849230098],
    [5, 1, 1e-5, 3, "logarithmic", 1.216544192707756],
    [5, 1, 1e-5, 3, "poisson", 1.1362151871894852],
    [2, 4, 1e-5, 30, "logarithmic", 8.109958370326877],
    [2, 4, 1e-5, 30, "poisson", 20.24616329394921],
  ])("sigma %d, %d steps, delta %d, %d trials, %s", (noiseMultiplier, steps, delta, mean, trials, value) => {
    const epsilon = repeatAndSelectEpsilon({ sampleRate: 1, noiseMultiplier, steps }, { mean, trials }, delta);
    expect(Math.abs(epsilon / value - 1)).toBeLessThan(1e-6);
  });
});

describe("stepsFor", () => {
  it.each(["rdp", "pld"] as const)("gives the most steps by %s", (accountant) => {
    const target = { epsilon: 2, delta: 1e-5, sampleRate: 0.02, noiseMultiplier: 1.1 };
    const { steps, epsilon } = stepsFor(target, accountant);
    expect(epsilon).toBeLessThanOrEqual(2);
    const more = { ...target, steps: accountant === "rdp" ? steps + 1 : Math.ceil(steps * 1.002) };
    const after = accountant === "rdp" ? rdpEpsilon([more], 1e-5).epsilon : epsilonBounds([more], 1e-5).upper;
    expect(after).toBeGreaterThan(2);
  });

  it("is 0 where one step is too much", () => {
    expect(stepsFor({ epsilon: 0.01, delta: 1e-9, sampleRate: 1, noiseMultiplier: 0.5 }, "pld").steps).toBe(0);
  });
});

describe("the ledger's rules", () => {
  it("compose different runs, below the sum of their epsilons", () => {
    const entries = [entry("a"), entry("b", { sampleRate: 0.02 }), entry("c", { noiseMultiplier: 2 })];
    const { upper } = composeEntries(entries, 1e-5);
    const sum = entries.reduce((total, each) => total + composeEntries([each], 1e-5).upper, 0);
    expect(upper).toBeGreaterThan(composeEntries(entries.slice(0, 2), 1e-5).upper);
    expect(upper).toBeLessThan(sum);
    expect(composeEntries([], 1e-5).upper).toBe(0);
  });

  it("charge a resumed run once, and refuse it with other parameters", () => {
    const entries = admit([], entry("a"));
    expect(admit(entries, entry("a", { time: "2026-11-25T08:00:00.000Z" }))).toBe(entries);
    expect(() => admit(entries, entry("a", { steps: 501 }))).toThrow(/other values of steps/);
  });

  it("refuse the run that would pass the budget, not the one before it", () => {
    const budget = { epsilon: 2, delta: 1e-5 };
    const entries = admit([], entry("a"), budget);
    expect(composeEntries(admit(entries, entry("b"), budget), 1e-5).upper).toBeLessThanOrEqual(2);
    const two = admit(entries, entry("b"), budget);
    expect(() => admit(two, entry("c"), budget)).toThrow(/budget is 2 and 1\.\d+ of it is spent/);
    expect(() => admit(two, entry("b"), budget)).not.toThrow();
  });

  it("refuse entries that no accountant describes", () => {
    expect(ledgerEntrySchema.safeParse(entry("a")).success).toBe(true);
    for (const bad of [{ steps: 0 }, { sampleRate: 2 }, { delta: 0 }, { noiseMultiplier: Number.NaN }, { runId: "" }]) {
      expect(ledgerEntrySchema.safeParse(entry("a", bad)).success).toBe(false);
    }
  });
});
