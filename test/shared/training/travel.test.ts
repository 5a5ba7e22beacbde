/** How a prompt travelled, against PyTorch: golden/make_transfer.py. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { adviceOn, compareScores, pick } from "../../../shared/training/travel.ts";

const { compared } = JSON.parse(readFileSync(new URL("golden/transfer.json", import.meta.url), "utf8"));
const flat = (rows: number[][]) => Float32Array.from(rows.flat());

describe("comparing class scores", () => {
  test("gives PyTorch's divergence and agreement", () => {
    const { divergence, agreement } = compareScores(flat(compared.student), flat(compared.target), 3);
    expect(divergence).toBeCloseTo(compared.divergence, 6);
    expect(agreement).toBeCloseTo(compared.agreement, 12);
  });

  test("sees no difference where every score of a text moves alike, however far", () => {
    const row = fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), fc.integer({ min: -1000, max: 1000 }), (rows, by) => {
        const moved = rows.map((each) => each.map((value) => value + by));
        const { divergence, agreement } = compareScores(flat(rows), flat(moved), 3);
        expect(divergence).toBeCloseTo(0, 6);
        expect(divergence).toBeGreaterThanOrEqual(0);
        expect(agreement).toBe(1);
      }),
    );
  });

  test("takes rows of a matrix", () => {
    expect(pick(Float32Array.of(1, 2, 3, 4, 5, 6), 2, Int32Array.of(2, 0))).toEqual(Float32Array.of(5, 6, 1, 2));
  });
});

describe("advice", () => {
  const poor = { agreement: 0.6, divergence: 0.5 };
  const schedule = { steps: 1000, batchSize: 2, texts: 60 };
  test("is for prompts that travelled badly", () => {
    expect(adviceOn({ agreement: 0.9, divergence: 0.5 }, { loss: 0.01, ...schedule, steps: 10 })).toEqual([]);
    expect(adviceOn(poor, { loss: 0.1, ...schedule }).join(" ")).toMatch(/60 % .*60 public texts are too few/);
    expect(adviceOn(poor, { loss: 0.4, ...schedule, steps: 100 }).join(" ")).toMatch(/100 steps are few/);
    expect(adviceOn(poor, { loss: null, ...schedule }).join(" ")).toMatch(/more like the private ones/);
    expect(adviceOn(poor, { loss: null, ...schedule, batchSize: 4 }).join(" ")).toMatch(
      /60 public texts was read 67 times: more texts may help/,
    );
  });
});
