import fc from "fast-check";
import { expect, test } from "vitest";
import { languageRows } from "../../../shared/training/language-rows.ts";

const mask = { start: 100, end: 101, mask: 102, vocabulary: 103 };
const tokens = Int32Array.from({ length: 1000 }, (_, i) => i % 90);

test("rows of a masked model: a text's tokens between start and end, of which some are asked for", () => {
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 40 }), fc.nat(50), fc.nat(), (length, step, seed) => {
      const rows = languageRows("masked", tokens, { length, batchSize: 3, seed }, mask);
      const { ids, labels, predicted } = rows.batch(step);
      expect(rows.batch(step)).toEqual({ ids, labels, predicted });
      for (let row = 0; row < 3; row++) {
        const cut = ({ data }: typeof ids) => Array.from(data.subarray(row * length, (row + 1) * length));
        const [shown, asked, counted] = [cut(ids), cut(labels), cut(predicted)];
        expect([asked[0], asked.at(-1), counted[0], counted.at(-1)]).toEqual([100, 101, 0, 0]);
        asked.slice(2, -1).forEach((token, i) => {
          expect(token).toBe((asked[i + 1]! + 1) % 90);
        });
        shown.forEach((token, i) => {
          if (counted[i] === 0) expect(token).toBe(asked[i]);
        });
        const wanted = Math.max(1, Math.round(0.15 * (length - 2)));
        expect(counted.reduce((sum, one) => sum + one, 0)).toBe(wanted);
      }
    }),
    { numRuns: 50 },
  );
});

test("of the tokens that are asked for, 80 % are masked, 10 % replaced and 10 % left (Devlin et al. 2019)", () => {
  const rows = languageRows("masked", tokens, { length: 42, batchSize: 20, seed: 1 }, mask);
  let [masked, left, all] = [0, 0, 0];
  for (let step = 0; step < 50; step++) {
    const { ids, labels, predicted } = rows.batch(step);
    predicted.data.forEach((one, i) => {
      if (one === 0) return;
      all += 1;
      masked += ids.data[i] === 102 ? 1 : 0;
      left += ids.data[i] === labels.data[i] ? 1 : 0;
    });
  }
  expect(all).toBe(6000);
  // Five standard errors of 6 000 draws.
  expect(Math.abs(masked / all - 0.8)).toBeLessThan(0.026);
  expect(Math.abs(left / all - 0.1)).toBeLessThan(0.02);
});

test("a row must have room for a token between its start and end", () => {
  const rows = () => languageRows("masked", tokens, { length: 2, batchSize: 1, seed: 0 }, mask);
  expect(rows).toThrow(/has no room beside its start and end/);
});

test("a masked model's tokenizer must have a mask", () => {
  expect(() => languageRows("masked", tokens, { length: 8, batchSize: 1, seed: 0 }, undefined)).toThrow(/no mask/);
});
