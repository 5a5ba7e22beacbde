/** That the bounds on ε hold in spite of rounding: against 60-digit arithmetic by another method (golden/make-exact.py). */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { epsilonBounds } from "../../../shared/privacy/accountant.ts";
import { toleranceAt } from "../../../shared/privacy/pld.ts";
import { runOf } from "./cases.ts";

// biome-ignore lint/suspicious/noExplicitAny: a table whose columns its script names
const { rows }: { rows: any[] } = JSON.parse(readFileSync(new URL("./golden/exact.json", import.meta.url), "utf8"));

/** A decimal number against a double, both as whole multiples of 10^-45: exactly. */
const SCALE = 45;
function scaled(decimal: string): bigint {
  const [mantissa, exponent = "0"] = decimal.split("e") as [string, string?];
  const [whole, fraction = ""] = mantissa.split(".") as [string, string?];
  const digits = BigInt(whole + fraction);
  const power = SCALE + Number(exponent) - fraction.length;
  return power >= 0 ? digits * 10n ** BigInt(power) : digits / 10n ** BigInt(-power);
}
/** Exactly what a double is: its 53 bits times a power of two. */
function scaledDouble(x: number): bigint {
  if (x === 0) return 0n;
  const exponent = Math.floor(Math.log2(x)) - 53;
  const bits = BigInt(x * 2 ** -exponent);
  const unit = 10n ** BigInt(SCALE);
  return exponent >= 0 ? bits * 2n ** BigInt(exponent) * unit : (bits * unit) / 2n ** BigInt(-exponent);
}

test.each(rows)("q $sampling_rate, sigma $noise_multiplier, $steps steps, delta $delta", (row) => {
  const { lower, upper } = epsilonBounds([runOf(row)], row.delta);
  const exact = scaled(row.epsilon);
  // The decimal number is rounded to its digits: 30 of closed forms, 12 or more of the others.
  const digits = row.epsilon.replace(/e.*/, "").replace(/^[0.]+|\./g, "").length;
  const rounded = exact / 10n ** BigInt(Math.max(0, digits - 1));
  expect(scaledDouble(lower) <= exact + rounded).toBe(true);
  expect(scaledDouble(upper) >= exact - rounded).toBe(true);
  expect(upper - lower).toBeLessThanOrEqual(toleranceAt(upper));
});
