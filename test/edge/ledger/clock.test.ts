/** What a clock that is set back does to what is measured with it. */
import { expect, test } from "vitest";
import { RateLimit } from "../../../edge/ledger/rate-limit.ts";
import { type PredictionSubmission, Store } from "../../../edge/ledger/store.ts";
import { isRecent } from "../../../edge/ledger/times.ts";
import { memorySql } from "./memory-sql.ts";

const HOUR = 3_600_000;
const NOW = 500_000 * HOUR;
const LEASE = 60_000;

test("a tenant's requests are neither refused nor free", () => {
  const rate = new RateLimit(10);
  rate.take(NOW);
  const { taken, standing } = rate.take(NOW - HOUR);
  expect([taken, standing.remaining]).toEqual([true, 98]);
  for (let i = 0; i < 98; i++) rate.take(NOW - HOUR);
  expect(rate.take(NOW - HOUR)).toMatchObject({ taken: false, standing: { remaining: 0, retryAfter: 1 } });
  expect(rate.take(NOW - HOUR + 100).taken).toBe(true);
});

test("what was kept at a time that is still to come is old", () => {
  expect([NOW, NOW - 5000, NOW - 5001, NOW + 1].map((at) => isRecent(at, 5000, NOW))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test("a lease lasts its own time, whatever the clock did", () => {
  const store = new Store(memorySql());
  store.prepare();
  const ask = { micros: 1, deviceSeconds: 1, virtualTokens: 0 };
  store.reservePrediction({ ...SUBMISSION, id: "a", ask }, NOW);
  const lease = (now: number) => store.lease("a", now, now + LEASE);
  expect([lease(NOW), lease(NOW), lease(NOW + LEASE - 1), lease(NOW - LEASE)]).toEqual([true, false, false, false]);
  expect([lease(NOW - HOUR), lease(NOW - HOUR), lease(NOW - HOUR + LEASE)]).toEqual([true, false, true]);
});

const SUBMISSION: Omit<PredictionSubmission, "id" | "ask"> = {
  idempotencyKey: undefined,
  fingerprint: "",
  model: "large:x",
  target: "large",
  targetDigest: "ab",
  promptDigest: "cd",
  work: 1,
  price: 1,
  rate: { device: "CPU", currency: "EUR", microsPerHour: 1 },
  estimatedSeconds: 1,
};
