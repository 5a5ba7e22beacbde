import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tableLines } from "../../client/table.ts";
import { bytes, count, duration, money, next, short, shortUp } from "../../client/words.ts";

test.each([
  [4_150_000, "4.15 USD"],
  [50_000, "0.05 USD"],
  [62_000, "0.062 USD"],
  [1, "0.000001 USD"],
  [0, "0.00 USD"],
  [1_000_000_000, "1000.00 USD"],
  [-50_000, "-0.05 USD"],
])("%i millionths are %s", (micros, text) => {
  expect(money(micros, "USD")).toBe(text);
});

test("numbers have few digits, and bounds are never rounded below what they are", () => {
  expect([short(8.00001), short(11.5071), short(1e-5), short(0.001), short(0)]).toEqual([
    "8",
    "11.51",
    "1e-5",
    "0.001",
    "0",
  ]);
  fc.assert(
    fc.property(fc.double({ min: 1e-8, max: 1e8, noNaN: true }), (value) => {
      const up = Number(shortUp(value));
      expect(up).toBeGreaterThanOrEqual(value);
      expect(up).toBeLessThanOrEqual(value * 1.0011);
    }),
  );
});

test("amounts have their unit, and one of them is one", () => {
  expect([count(1, "row"), count(2, "row"), count(0, "file")]).toEqual(["1 row", "2 rows", "0 files"]);
  expect([bytes(999), bytes(15_502_568), bytes(2.5e9)]).toEqual(["1.0 kB", "15.5 MB", "2.5 GB"]);
  expect([duration(0.2), duration(190), duration(7500)]).toEqual(["1s", "3m10s", "2h05m"]);
});

test("a command to type next can be pasted", () => {
  expect(next("tune", "--model", "my models/a", "--out", "it's", "--public", "ID")).toBe(
    "Next: softpost tune --model 'my models/a' --out 'it'\\''s' --public ID",
  );
});

describe("a table", () => {
  test("has its columns below each other, numbers to the right", () => {
    expect(
      tableLines([
        ["label", "rows", "what"],
        ["ham", "5", "friends"],
        ["spam", "12", "ε"],
      ]),
    ).toEqual(["label  rows  what", "ham       5  friends", "spam     12  ε"]);
  });

  test("may lack cells", () => {
    expect(tableLines([["a"], ["b", "c"]])).toEqual(["a", "b  c"]);
  });
});
