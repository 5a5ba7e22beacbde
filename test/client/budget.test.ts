import { expect, test } from "vitest";
import { privacyLine } from "../../client/commands/budget.ts";

const limit = { epsilon: 8, delta: 1e-5 };
const dataset = "reviews";

test.each([
  [
    { prompts: 1, epsilon: 1.23456, delta: 1e-5 },
    limit,
    "1 prompt, ε 1.235 at δ 1e-5 for one row; the limit is ε 8 at δ 1e-5",
  ],
  [
    { prompts: 1, epsilon: 2, delta: 1e-5, unit: "all rows of one user" },
    limit,
    "1 prompt, ε 2 at δ 1e-5 for all rows of one user; the limit is ε 8 at δ 1e-5",
  ],
  [{ prompts: 2, epsilon: 3, delta: 1e-5 }, null, "2 prompts, ε 3 at δ 1e-5 for one row; no limit is set"],
  [
    { prompts: 2, epsilon: null, delta: 1e-5 },
    null,
    "2 prompts, without a guarantee, since not all were tuned with differential privacy; no limit is set",
  ],
  [
    { prompts: 1, epsilon: null, delta: 1e-5 },
    limit,
    "1 prompt, without a guarantee, since not all were tuned with differential privacy; the limit is ε 8 at δ 1e-5",
  ],
])("%o with the limit %o", (released, allowed, line) => {
  expect(privacyLine({ dataset, ...released }, allowed)).toBe(`Privacy of data set reviews: ${line}`);
});
