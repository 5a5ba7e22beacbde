import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hardlyNamed, holdOut, readingsOf, selectTexts } from "../../../shared/training/public-texts.ts";

/** Scores `[N, K]` from the probabilities of a class for each text. */
const scoresOf = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flat(), Math.log);

const matrix = fc.integer({ min: 2, max: 5 }).chain((classes) =>
  fc.record({
    classes: fc.constant(classes),
    rows: fc.array(
      fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: classes, maxLength: classes }),
      {
        minLength: 1,
        maxLength: 60,
      },
    ),
  }),
);

test("texts are held out at random: every text is in one part, at most a tenth is held out", () => {
  const indices = fc.uniqueArray(fc.integer({ min: 0, max: 1e6 }), { maxLength: 200 });
  fc.assert(
    fc.property(indices, fc.nat(), (texts, seed) => {
      const { fitted, heldOut } = holdOut(Int32Array.from(texts), seed);
      expect([...fitted, ...heldOut].sort((a, b) => a - b)).toEqual(texts.toSorted((a, b) => a - b));
      expect(heldOut.length).toBe(Math.floor(texts.length / 10));
    }),
  );
  const many = Int32Array.from({ length: 20_000 }, (_, i) => i);
  expect(holdOut(many, 0).heldOut.length).toBe(500);
  expect(holdOut(many, 0)).toEqual(holdOut(many, 0));
  expect(holdOut(many, 0).heldOut).not.toEqual(holdOut(many, 1).heldOut);
});

describe("what the student makes of texts", () => {
  test("is nothing where it says the same of all, and log K where it tells them apart evenly", () => {
    expect(
      readingsOf(
        scoresOf([
          [0.7, 0.3],
          [0.7, 0.3],
        ]),
        2,
      ).information,
    ).toBeCloseTo(0, 6);
    const sure = readingsOf(
      scoresOf([
        [1 - 1e-9, 1e-9],
        [1e-9, 1 - 1e-9],
      ]),
      2,
    );
    expect(sure.information).toBeCloseTo(Math.log(2), 6);
    expect(sure.choices).toEqual(Int32Array.of(0, 1));
  });

  test("is mutual information: between 0 and log K", () => {
    fc.assert(
      fc.property(matrix, ({ classes, rows }) => {
        const { information, shares, confidences } = readingsOf(Float32Array.from(rows.flat()), classes);
        expect(information).toBeGreaterThanOrEqual(0);
        expect(information).toBeLessThanOrEqual(Math.log(classes) + 1e-9);
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
        for (const confidence of confidences) expect(confidence).toBeGreaterThanOrEqual(1 / classes - 1e-9);
      }),
    );
  });
});

describe("selection", () => {
  test("takes each class's surest half, as many of one as of another", () => {
    const rows = [
      [0.9, 0.1],
      [0.6, 0.4],
      [0.8, 0.2],
      [0.7, 0.3],
      [0.2, 0.8],
      [0.4, 0.6],
    ];
    expect(selectTexts(scoresOf(rows), 2, 2)).toEqual(Int32Array.of(0, 4));
    expect(selectTexts(scoresOf(rows), 2, 4)).toEqual(Int32Array.of(0, 2, 4));
    expect(selectTexts(scoresOf(rows), 2, 6)).toEqual(Int32Array.of(0, 1, 2, 3, 4, 5));
  });

  test("gives different texts in order, no more than the limit or one a class", () => {
    fc.assert(
      fc.property(matrix, fc.integer({ min: 1, max: 40 }), ({ classes, rows }, limit) => {
        const chosen = selectTexts(Float32Array.from(rows.flat()), classes, limit);
        expect(chosen.length).toBeGreaterThan(0);
        expect(chosen.length).toBeLessThanOrEqual(Math.max(limit, classes));
        expect([...chosen]).toEqual([...new Set(chosen)].sort((a, b) => a - b));
      }),
    );
  });
});

test("a class that is hardly ever named is told", () => {
  const rows = Array.from({ length: 100 }, (_, i) =>
    i < 98 ? [0.5, 0.3, 0.2] : i < 99 ? [0.1, 0.8, 0.1] : [0.5, 0.4, 0.1],
  );
  expect(hardlyNamed(readingsOf(scoresOf(rows), 3), 3)).toEqual([1, 2]);
  expect(
    hardlyNamed(
      readingsOf(
        scoresOf([
          [0.9, 0.1],
          [0.1, 0.9],
        ]),
        2,
      ),
      2,
    ),
  ).toEqual([]);
});
