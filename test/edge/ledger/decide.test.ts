import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Ask,
  advance,
  charge,
  isFinal,
  refusalStatus,
  refusals,
  type Usage,
} from "../../../edge/ledger/decide.ts";
import type { Limits } from "../../../shared/protocol/budget.ts";
import { type State, states } from "../../../shared/protocol/transfer.ts";

const amount = fc.integer({ min: 0, max: 1000 });
const limitsOf = fc.record<Limits>({
  micros: amount,
  deviceSeconds: amount,
  virtualTokens: amount,
  concurrent: fc.integer({ min: 0, max: 5 }),
  daily: fc.integer({ min: 0, max: 20 }),
  privacy: fc.constant(null),
});
const askOf = fc.record<Ask>({ micros: amount, deviceSeconds: amount, virtualTokens: amount });

interface Entry {
  readonly ask: Ask;
  readonly state: State;
  readonly cost: { micros: number; deviceSeconds: number } | undefined;
}

/** The usage that the store computes in SQL. */
function usageOf(entries: readonly Entry[]): Usage {
  const sum = (pick: (entry: Entry) => number) => entries.reduce((total, entry) => total + pick(entry), 0);
  return {
    micros: sum(({ cost, ask }) => cost?.micros ?? ask.micros),
    deviceSeconds: sum(({ cost, ask }) => cost?.deviceSeconds ?? ask.deviceSeconds),
    virtualTokens: sum(({ state, ask }) => (state === "failed" || state === "cancelled" ? 0 : ask.virtualTokens)),
    concurrent: sum(({ cost }) => (cost ? 0 : 1)),
    daily: entries.length,
  };
}

const command = fc.oneof(
  fc.record({ kind: fc.constant("submit" as const), ask: askOf }),
  fc.record({
    kind: fc.constant("finish" as const),
    which: fc.nat(),
    state: fc.constantFrom<State>("succeeded", "failed", "cancelled"),
    seconds: fc.double({ min: 0, max: 5000, noNaN: true }),
  }),
);

describe("budgets", () => {
  test("are never passed, in whatever order transfers come and end", () => {
    fc.assert(
      fc.property(limitsOf, fc.array(command, { maxLength: 60 }), (limits, commands) => {
        const entries: Entry[] = [];
        for (const step of commands) {
          if (step.kind === "submit") {
            const refused =
              refusals(limits, usageOf(entries), step.ask, () => ({ epsilon: 0, unit: "example" })).length > 0;
            if (!refused) entries.push({ ask: step.ask, state: "accepted", cost: undefined });
          } else if (entries.length > 0) {
            const index = step.which % entries.length;
            const { ask, state } = entries[index]!;
            if (!isFinal(state))
              entries[index] = { ask, state: step.state, cost: charge(step.state, ask, step.seconds, 3) };
          }
          const usage = usageOf(entries);
          for (const name of ["micros", "deviceSeconds", "virtualTokens", "concurrent", "daily"] as const) {
            expect(usage[name]).toBeLessThanOrEqual(limits[name]);
          }
        }
      }),
    );
  });

  test("refuse only what would pass one of them", () => {
    fc.assert(
      fc.property(limitsOf, askOf, (limits, ask) => {
        const usage = { micros: 0, deviceSeconds: 0, virtualTokens: 0, concurrent: 0, daily: 0 };
        const found = refusals(limits, usage, ask, () => ({ epsilon: 0, unit: "example" })).map(({ budget }) => budget);
        const fits = { money: ask.micros <= limits.micros, deviceSeconds: ask.deviceSeconds <= limits.deviceSeconds };
        expect(found.includes("money")).toBe(!fits.money);
        expect(found.includes("deviceSeconds")).toBe(!fits.deviceSeconds);
        expect(found.includes("concurrent")).toBe(limits.concurrent === 0);
      }),
    );
  });

  test("of privacy are asked last, and refuse what isn't private", () => {
    const limits: Limits = {
      micros: 1,
      deviceSeconds: 1,
      virtualTokens: 1,
      concurrent: 1,
      daily: 1,
      privacy: { epsilon: 2, delta: 1e-5 },
    };
    const usage = { micros: 0, deviceSeconds: 0, virtualTokens: 0, concurrent: 0, daily: 0 };
    const ask = { micros: 1, deviceSeconds: 1, virtualTokens: 1 };
    const privacy = (epsilon: number) =>
      refusals(limits, usage, ask, () => ({ epsilon, unit: "example" })).map(({ budget }) => budget);
    expect(privacy(2)).toEqual([]);
    expect(privacy(2.001)).toEqual(["privacy"]);
    expect(privacy(Number.POSITIVE_INFINITY)).toEqual(["privacy"]);
    const [refusal] = refusals(limits, usage, ask, () => ({ epsilon: 3, unit: "all rows of one user" }));
    expect(refusal!.message).toMatch(/epsilon 3\.000 at delta .* for all rows of one user; the limit is 2/);
    const poor = refusals(limits, usage, { ...ask, micros: 2 }, () => {
      throw new Error("It was asked.");
    });
    expect(poor.map(({ budget }) => budget)).toEqual(["money"]);
  });

  test.each([
    [["privacy"], 403],
    [["daily", "money"], 402],
    [["concurrent"], 429],
  ] as const)("%s is status %i", (budgets, status) => {
    expect(refusalStatus(budgets.map((budget) => ({ budget, message: "" })))).toBe(status);
  });
});

test("a state never goes back, and a final one stays", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...states)), (news) => {
      let state: State = "accepted";
      for (const next of news) {
        const after = advance(state, next);
        if (isFinal(state)) expect(after).toBe(state);
        else
          expect(states.indexOf(after)).toBeGreaterThanOrEqual(Math.min(states.indexOf(state), states.indexOf(next)));
        state = after;
      }
      const firstFinal = news.find(isFinal);
      if (firstFinal) expect(state).toBe(firstFinal);
    }),
  );
});

test("a finished transfer costs what was computed and at most what was reserved, and nothing if it failed", () => {
  const reserved = { micros: 100, deviceSeconds: 10 };
  expect(charge("succeeded", reserved, 4.2, 10)).toEqual({ deviceSeconds: 5, micros: 50 });
  expect(charge("succeeded", reserved, 99, 10)).toEqual({ deviceSeconds: 10, micros: 100 });
  expect(charge("failed", reserved, 4.2, 10)).toEqual({ deviceSeconds: 0, micros: 0 });
  expect(charge("cancelled", reserved, 4.2, 10)).toEqual({ deviceSeconds: 5, micros: 50 });
  expect(charge("cancelled", reserved, 99, 10)).toEqual({ deviceSeconds: 10, micros: 100 });
  expect(charge("cancelled", reserved, 0, 10)).toEqual({ deviceSeconds: 0, micros: 0 });
});
