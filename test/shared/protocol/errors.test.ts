import { expect, test } from "vitest";
import { ProblemError } from "../../../shared/protocol/errors.ts";

test("a problem carries its parts and reads as one sentence", () => {
  const problem = new ProblemError("The task is not valid", "labels must not be empty", {
    status: 422,
    faults: [{ at: "/labels", message: "must not be empty" }],
  });
  expect(problem.message).toBe("The task is not valid: labels must not be empty");
  expect(problem.status).toBe(422);
  expect(problem.faults).toHaveLength(1);
});
