import { expect, test } from "vitest";
import { describeEvent, describeStart } from "../../client/describe-provider.ts";

const about = { dir: "provider", currency: "USD", now: new Date(2026, 0, 2, 3, 4, 5) };
const line = (fields: object) => describeEvent(JSON.stringify({ tenant: "t1", transfer: "abc", ...fields }), about);

test("what becomes of a transfer is told in a line, with the log of a job that failed", () => {
  expect(line({ event: "submitted" })).toBe("03:04:05  transfer abc of tenant t1 submitted");
  expect(line({ event: "settled", deviceSeconds: 61.2, micros: 62_000 })).toBe(
    "03:04:05  transfer abc of tenant t1 succeeded in 1m02s, 0.062 USD",
  );
  expect(line({ event: "failed", reason: "Essential container in task exited", log: "j-3.log" })).toBe(
    "03:04:05  transfer abc of tenant t1 failed: Essential container in task exited (log: provider/batch/logs/j-3.log)",
  );
});

test("requests and other lines are not told", () => {
  const requests = '{"requestId":"r","method":"POST","route":"/v1/transfers","status":202,"tenant":"t1"}';
  for (const other of [requests, '{"event":"open","tenant":"t1"}', "no JSON", ""]) {
    expect(describeEvent(other, about)).toBeUndefined();
  }
});

test("a provider says what it published, and that it published nothing", () => {
  const published = { dir: "p", target: "target", student: "student", public: ["a.jsonl", "b.jsonl"] };
  expect(describeStart(published).join("\n")).toMatch(
    /^Published: the student student of target, the public set a\.jsonl, the public set b\.jsonl\n.*p\/worker\.log.*Ctrl-C.*SOFTPOST_CONFIG: softpost students$/s,
  );
  expect(describeStart({ dir: "p", public: [] })[0]).toMatch(/^Published nothing new\. .*--student/);
});
