import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { settledTokens, tokenRefusals } from "../../../edge/ledger/metering.ts";
import { PromptList } from "../../../edge/ledger/prompts.ts";
import { SCHEMA } from "../../../edge/ledger/schema.ts";
import { Store } from "../../../edge/ledger/store.ts";
import { TokenStore } from "../../../edge/ledger/tokens.ts";
import type { Limits } from "../../../shared/protocol/budget.ts";
import { tokenMicros } from "../../../shared/protocol/metering.ts";
import { memorySql } from "./memory-sql.ts";

const DAY = 86_400_000;
const count = fc.integer({ min: 0, max: 1000 });
const tokensOf = fc.record({ prompt: count, completion: count });
const pricesOf = fc.record({ promptMicros: fc.nat(5_000_000), completionMicros: fc.nat(5_000_000) });
const limitsOf = fc.record({
  micros: fc.nat(20_000),
  tokens: fc.option(fc.nat(5000), { nil: undefined }),
  dailyTokens: fc.option(fc.nat(3000), { nil: undefined }),
});
const full = (limits: Partial<Limits>): Limits => ({
  micros: 0,
  deviceSeconds: 0,
  virtualTokens: 0,
  concurrent: 0,
  daily: 0,
  privacy: null,
  ...limits,
});

function openStore(): TokenStore {
  const sql = memorySql();
  sql.exec(SCHEMA);
  return new TokenStore(sql);
}

const command = fc.oneof(
  fc.record({ kind: fc.constant("ask" as const), most: tokensOf, lasts: fc.integer({ min: 1, max: DAY }) }),
  fc.record({ kind: fc.constant("report" as const), which: fc.nat(), used: tokensOf }),
  fc.record({ kind: fc.constant("release" as const), which: fc.nat() }),
  fc.record({ kind: fc.constant("hasten" as const), which: fc.nat(), by: fc.integer({ min: 0, max: DAY }) }),
  fc.record({ kind: fc.constant("wait" as const), milliseconds: fc.integer({ min: 0, max: DAY }) }),
);

describe("the budget of tokens", () => {
  test("is never passed, in whatever order requests come, end, break off and are reported twice", () => {
    fc.assert(
      fc.property(limitsOf, pricesOf, fc.array(command, { maxLength: 80 }), (wanted, prices, commands) => {
        const limits = full(wanted);
        const store = openStore();
        const ids: string[] = [];
        let now = 20_000 * DAY;
        for (const step of commands) {
          const id = "which" in step ? ids[step.which % ids.length] : undefined;
          if (step.kind === "wait") now += step.milliseconds;
          if (step.kind === "ask") {
            const [used, reserved] = [store.used(now), store.reserved(now)];
            const usage = {
              micros: used.micros + reserved.micros,
              tokens: used.tokens + reserved.tokens,
              dailyTokens: used.dailyTokens + reserved.dailyTokens,
            };
            if (tokenRefusals(limits, usage, step.most, prices).length > 0) continue;
            ids.push(`request-${ids.length}`);
            store.reserve({ id: ids.at(-1)!, model: "m", most: step.most, expires: now + step.lasts }, prices, now);
          }
          if (step.kind === "report" && id) {
            store.settle(id, step.used, now);
            const before = store.used(now);
            expect(store.settle(id, step.used, now)).toBe(false);
            expect(store.used(now)).toEqual(before);
          }
          if (step.kind === "release" && id) store.release(id);
          if (step.kind === "hasten" && id) store.hasten(id, now + step.by);
          const [used, reserved] = [store.used(now), store.reserved(now)];
          expect(used.tokens + reserved.tokens).toBeLessThanOrEqual(limits.tokens ?? 0);
          expect(used.micros + reserved.micros).toBeLessThanOrEqual(limits.micros);
          const daily = used.dailyTokens + reserved.dailyTokens;
          expect(daily).toBeLessThanOrEqual(limits.dailyTokens ?? Number.POSITIVE_INFINITY);
        }
        // Nothing is stuck.
        expect(store.reserved(now + 3 * DAY)).toMatchObject({ tokens: 0, micros: 0 });
      }),
    );
  });

  test("a request costs what it used and at most what was reserved, to the last token", () => {
    fc.assert(
      fc.property(tokensOf, tokensOf, pricesOf, (most, used, prices) => {
        const { prompt, completion, micros } = settledTokens(most, used, prices);
        expect(prompt).toBe(Math.min(most.prompt, used.prompt));
        expect(completion).toBe(Math.min(most.completion, used.completion));
        expect(micros).toBeLessThanOrEqual(tokenMicros(most, prices));
        const exact =
          BigInt(prompt) * BigInt(prices.promptMicros) + BigInt(completion) * BigInt(prices.completionMicros);
        expect(BigInt(micros)).toBe((exact + 999_999n) / 1_000_000n);
      }),
    );
  });
});

describe("requests", () => {
  const prices = { promptMicros: 1e6, completionMicros: 2e6 };
  const most = { prompt: 10, completion: 20 };
  const start = 20_000 * DAY + 1000;

  test("whose report comes too late were given back, and stay so", () => {
    const store = openStore();
    store.reserve({ id: "a", model: "m", most, expires: start + 100 }, prices, start);
    expect(store.reserved(start)).toEqual({ tokens: 30, dailyTokens: 30, micros: 50 });
    expect(store.settle("a", most, start + 100)).toBe(false);
    expect(store.used(start + 100)).toEqual({ tokens: 0, dailyTokens: 0, micros: 0 });
    expect(store.reserved(start + 100)).toEqual({ tokens: 0, dailyTokens: 0, micros: 0 });
  });

  test("that break off expire earlier, never later", () => {
    const store = openStore();
    store.reserve({ id: "a", model: "m", most, expires: start + 1000 }, prices, start);
    store.hasten("a", start + 5000);
    store.hasten("a", start + 50);
    store.hasten("a", start + 500);
    expect(store.reserved(start + 49).tokens).toBe(30);
    expect(store.reserved(start + 50).tokens).toBe(0);
  });

  test("count on the day on which they began, by model, at the price of that time", () => {
    const store = openStore();
    store.reserve({ id: "a", model: "m", most, expires: start + 3 * DAY }, prices, start);
    store.reserve(
      { id: "b", model: "m", most, expires: start + 3 * DAY },
      { promptMicros: 0, completionMicros: 0 },
      start,
    );
    store.reserve({ id: "c", model: "n", most, expires: start + 3 * DAY }, prices, start + DAY);
    for (const id of ["a", "b", "c"]) store.settle(id, { prompt: 1, completion: 2 }, start + DAY);
    expect(store.rows(0, start + 2 * DAY)).toEqual([
      { day: "2024-10-04", model: "m", requests: 2, promptTokens: 2, completionTokens: 4, micros: 5 },
      { day: "2024-10-05", model: "n", requests: 1, promptTokens: 1, completionTokens: 2, micros: 5 },
    ]);
    expect(store.rows(start + DAY, start + DAY)).toEqual([]);
    expect(store.used(start + DAY)).toEqual({ tokens: 9, dailyTokens: 3, micros: 10 });
  });
});

test("a ledger of the release before opens: its transfers are there, its tenant has no tokens, and both kinds of jobs go on", () => {
  const database = new DatabaseSync(":memory:");
  const [before] = SCHEMA.split("CREATE TABLE IF NOT EXISTS requests");
  database.exec(before!);
  const limits = full({ micros: 1000 });
  database.prepare("INSERT INTO account VALUES (1, 'old', ?, 0)").all(JSON.stringify(limits));
  const columns = ["id", "idempotency_key", "fingerprint", "state", "version", "created", "updated", "leased_until"];
  const more = ["student", "target_digest", "work", "virtual_tokens", "prompt_digest", "options", "price"];
  const names = [...columns, ...more, "reserved_micros", "reserved_seconds", "cost_micros", "cost_seconds", "files"];
  const values = [
    "old",
    "key",
    "",
    "succeeded",
    3,
    5,
    6,
    0,
    "small",
    "ab",
    9,
    4,
    "cd",
    "{}",
    1,
    10,
    10,
    7,
    7,
    '[{"name":"x"}]',
  ];
  const marks = names.map(() => "?").join(", ");
  database.prepare(`INSERT INTO transfers (${names.join(", ")}) VALUES (${marks})`).all(...values);

  const sql = memorySql(database);
  const store = new Store(sql);
  expect(store.list("transfer", 10).map(({ id, kind, model }) => [id, kind, model])).toEqual([["old", "transfer", ""]]);
  expect(store.list("predict", 10)).toEqual([]);
  expect(store.usage(20).micros).toBe(7);
  expect(new PromptList(sql).list(10)).toMatchObject([
    { transfer: "old", targetDigest: "ab", created: 6, files: [{ name: "x" }] },
  ]);
  const tokens = new TokenStore(sql);
  expect(tokens.used(20)).toEqual({ tokens: 0, dailyTokens: 0, micros: 0 });
  const usage = { micros: 7, tokens: 0, dailyTokens: 0 };
  const prices = { promptMicros: 0, completionMicros: 0 };
  const refused = tokenRefusals(store.account().limits, usage, { prompt: 1, completion: 0 }, prices);
  expect(refused.map(({ budget }) => budget)).toEqual(["tokens"]);
});
