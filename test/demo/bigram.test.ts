import { expect, test } from "vitest";
import { Bigram } from "../../demo/model-card/bigram.ts";

const bigram = new Bigram(Int32Array.of(0, 1, 0, 1, 0, 2), 4);

test("a pair's probability is Witten-Bell's, worked by hand", () => {
  // Token 0 is there 3 times and has 2 different followers; unigram of 1: (2 + 1) / (6 + 4).
  expect(bigram.probability(0, 1)).toBeCloseTo((2 + 2 * 0.3) / (3 + 2), 12);
  expect(bigram.probability(0, 3)).toBeCloseTo((0 + 2 * 0.1) / (3 + 2), 12);
  expect(bigram.probability(3, 1)).toBeCloseTo(0.3, 12);
});

test("what follows a token that is not the stream's last adds up to 1", () => {
  for (const previous of [0, 1, 3]) {
    const sum = [0, 1, 2, 3].reduce((total, next) => total + bigram.probability(previous, next), 0);
    expect(sum).toBeCloseTo(1, 12);
  }
});
