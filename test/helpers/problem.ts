import { expect } from "vitest";
import { ProblemError } from "../../shared/protocol/errors.ts";

/** The ProblemError that `run` throws, as its message and all its faults in one text. Any other outcome fails the test. */
export function problem(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ProblemError);
    const { message, faults } = error as ProblemError;
    return [message, ...faults.map((fault) => `${fault.at}: ${fault.message}`)].join("\n");
  }
  throw new Error("Expected a ProblemError, nothing was thrown.");
}
