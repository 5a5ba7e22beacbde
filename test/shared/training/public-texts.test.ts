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

/** Of texts that all differ. */
const different = (count: number) => Int32Array.from({ length: count }, (_, i) => i);

describe("division", () => {
  test("is at random: every text is in one part, at most a tenth is held out", () => {
    const indices = fc.uniqueArray(fc.integer({ min: 0, max: 1000 }), { maxLength: 200 });
    fc.assert(
      fc.property(indices, fc.nat(), (texts, seed) => {
        const { fitted, heldOut } = holdOut(Int32Array.from(texts), different(1001), seed);
        expect([...fitted, ...heldOut].sort((a, b) => a - b)).toEqual(texts.toSorted((a, b) => a - b));
        expect(heldOut.length).toBe(Math.floor(texts.length / 10));
      }),
    );
    const many = different(20_000);
    expect(holdOut(many, many, 0).heldOut.length).toBe(500);
    expect(holdOut(many, many, 0)).toEqual(holdOut(many, many, 0));
    expect(holdOut(many, many, 0).heldOut).not.toEqual(holdOut(many, many, 1).heldOut);
  });

  test("of texts that all differ is what it always was", () => {
    expect([...holdOut(different(40), different(40), 3).heldOut]).toEqual([0, 16, 30, 35]);
  });

  test("has equal texts on one side, and about as many held out", () => {
    const firsts = fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(firsts, fc.nat(), fc.integer({ min: 0, max: 20 }), (kinds, seed, held) => {
        const texts = different(kinds.length);
        const { fitted, heldOut } = holdOut(texts, Int32Array.from(kinds), seed, Math.min(held, kinds.length - 1));
        expect([...fitted, ...heldOut].sort((a, b) => a - b)).toEqual([...texts]);
        expect(fitted.length).toBeGreaterThan(0);
        expect(heldOut.length).toBeLessThan(Math.max(1, 2 * held));
        const seen = new Set(Array.from(fitted, (text) => kinds[text]));
        expect(Array.from(heldOut).filter((text) => seen.has(kinds[text]!))).toEqual([]);
      }),
    );
    // Ten texts, each five times.
    const five = Int32Array.from({ length: 50 }, (_, i) => i % 10);
    for (let seed = 0; seed < 20; seed++) expect(holdOut(different(50), five, seed).heldOut.length).toBe(5);
  });

  test("holds nothing out where all texts are equal", () => {
    for (const held of [2, 19]) {
      expect(holdOut(different(20), new Int32Array(20), 0, held).heldOut.length).toBe(0);
    }
  });
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

  test("takes the surest of the classes' surest where there are more classes than texts", () => {
    const rows = [
      [0.6, 0.2, 0.2],
      [0.5, 0.3, 0.2],
      [0.1, 0.8, 0.1],
      [0.1, 0.1, 0.8],
      [0.05, 0.05, 0.9],
    ];
    expect(selectTexts(scoresOf(rows), 3, 2)).toEqual(Int32Array.of(2, 4));
    expect(selectTexts(scoresOf(rows), 3, 1)).toEqual(Int32Array.of(4));
  });

  test("gives different texts in order, no more than the limit", () => {
    fc.assert(
      fc.property(matrix, fc.integer({ min: 1, max: 40 }), ({ classes, rows }, limit) => {
        const chosen = selectTexts(Float32Array.from(rows.flat()), classes, limit);
        expect(chosen.length).toBeGreaterThan(0);
        expect(chosen.length).toBeLessThanOrEqual(limit);
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
