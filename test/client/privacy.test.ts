/** `softpost privacy` against reference values: dp_accounting 0.6 with RDP by quadrature (test/shared/privacy/golden). */
import { expect, test } from "vitest";
import { softpost } from "../helpers/softpost.ts";

async function json(...args: string[]) {
  const { code, stdout, stderr } = await softpost("privacy", ...args, "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const run = ["--sample-rate", "0.128", "--steps", "8", "--delta", "1e-6", "--accountant", "rdp"];

test("epsilon is the reference's", async () => {
  const result = await json("epsilon", "--noise-multiplier", "2.36", ...run);
  expect(result).toMatchObject({ sampleRate: 0.128, noiseMultiplier: 2.36, steps: 8, delta: 1e-6, accountant: "rdp" });
  expect(result.epsilon / 0.9943200729992872).toBeCloseTo(1, 8);
});

test("noise reaches the target from below", async () => {
  const result = await json("noise", "--epsilon", "0.9943200729992872", ...run);
  expect(result.epsilon).toBeLessThanOrEqual(0.9943200729992872);
  expect(Math.abs(result.noiseMultiplier / 2.36 - 1)).toBeLessThan(1e-3);
});

test("a missing flag is wrong usage, a number without meaning a failure that names it", async () => {
  const missing = await softpost("privacy", "epsilon", "--sample-rate", "0.1");
  expect(missing.code).toBe(2);
  const never = await softpost(
    "privacy",
    "epsilon",
    "--noise-multiplier",
    "1",
    "--sample-rate",
    "0",
    "--steps",
    "1",
    "--delta",
    "1e-5",
  );
  expect(never.code).toBe(1);
  expect(never.stderr).toContain("sampleRate");
  const help = await softpost("privacy", "--help");
  expect(help.stdout).toContain("softpost privacy noise --epsilon 8");
});
