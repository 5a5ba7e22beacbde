import { expect } from "vitest";
import { ProblemError } from "../../shared/protocol/errors.ts";

/** The ProblemError that `run` throws, as its message and all its faults in one text. Any other outcome fails the test. */
export function problem(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return describe(error);
  }
  throw new Error("Expected a ProblemError, nothing was thrown.");
}

/** The same for a promise. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => {
      throw new Error("Expected a ProblemError, the promise was fulfilled.");
    },
    (error: unknown) => describe(error),
  );
}

function describe(error: unknown): string {
  expect(error).toBeInstanceOf(ProblemError);
  const { message, faults } = error as ProblemError;
  return [message, ...faults.map((fault) => `${fault.at}: ${fault.message}`)].join("\n");
}
