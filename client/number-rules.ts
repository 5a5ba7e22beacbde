import { ProblemError } from "../shared/protocol/errors.ts";

/** What a number that a user gives must be, on the command line and in the library. */
export interface NumberRule {
  readonly allows: (value: number) => boolean;
  readonly message: string;
}

/** A whole number, at least `least`. */
export function wholeFrom(least: number): NumberRule {
  return {
    allows: (value) => Number.isSafeInteger(value) && value >= least,
    message: `It must be a whole number of at least ${least}.`,
  };
}

/** A finite number above 0. */
export const POSITIVE: NumberRule = {
  allows: (value) => value > 0 && Number.isFinite(value),
  message: "It must be a number above 0, such as 1e-3.",
};

/** A number of `least` or more, and `most` or less. */
export function between(least: number, most: number): NumberRule {
  return {
    allows: (value) => value >= least && value <= most,
    message: `It must be a number from ${least} to ${most}.`,
  };
}

/** The library's options that are numbers: a name means the same in all of its functions, and on the command line. */
const OPTIONS: Readonly<Record<string, NumberRule>> = {
  steps: wholeFrom(1),
  epochs: POSITIVE,
  batchSize: wholeFrom(1),
  maxLength: wholeFrom(2),
  learningRate: POSITIVE,
  averagedSteps: wholeFrom(1),
  promptTokens: wholeFrom(1),
  selected: wholeFrom(10),
  alpha: between(0, 1),
  seed: wholeFrom(0),
  threads: wholeFrom(1),
  epsilon: POSITIVE,
  budgetEpsilon: POSITIVE,
  delta: between(0, 1),
  noiseMultiplier: POSITIVE,
  rowsPerUnit: wholeFrom(1),
  clip: POSITIVE,
};

/** @throws ProblemError that names each of the options that must be a number and isn't one that it can be */
export function requireNumbers(options: object): void {
  const faults = Object.entries(options)
    .filter(([name, value]) => value !== undefined && Object.hasOwn(OPTIONS, name))
    .filter(([name, value]) => typeof value !== "number" || !OPTIONS[name]!.allows(value))
    .map(([name]) => ({ at: name, message: OPTIONS[name]!.message }));
  if (faults.length === 0) return;
  const detail = faults.map(({ at, message }) => `${at}: ${message}`).join(" ");
  throw new ProblemError("The options are not valid", detail, { status: 422, faults });
}
