import fc from "fast-check";
import { expect, test } from "vitest";
import { isHeldOut } from "../../../web/tune/worker/split.ts";

test("a row's text and the key alone decide, about as often as the share says", () => {
  const texts = Array.from({ length: 4000 }, (_, i) => `row ${i}`);
  for (const share of [0, 0.1, 0.5]) {
    const held = texts.filter((text) => isHeldOut(text, { share, key: "a" })).length / texts.length;
    // Five standard errors of 4 000 draws.
    expect(Math.abs(held - share)).toBeLessThanOrEqual(5 * Math.sqrt((share * (1 - share)) / texts.length));
  }
  const by = (key: string) => texts.map((text) => isHeldOut(text, { share: 0.5, key }));
  expect(by("a")).toEqual(by("a"));
  expect(by("a")).not.toEqual(by("b"));
});

test("a row that is kept back at a share is kept back at every larger one", () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (text, key, a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        if (isHeldOut(text, { share: low, key })) expect(isHeldOut(text, { share: high, key })).toBe(true);
      },
    ),
  );
});

test("a text is on one side, in whatever form of white space and accents it comes", () => {
  for (let i = 0; i < 200; i++) {
    const [side, ...others] = [`Ren\u00e9 ${i}`, ` Rene\u0301  ${i}\n`, `Ren\u00e9\u00a0${i}`].map((text) =>
      isHeldOut(text, { share: 0.5, key: "a" }),
    );
    expect(others).toEqual([side, side]);
  }
});
