import { ProblemError } from "../protocol/errors.ts";

/**
 * Why nothing can be answered where a model's scores are NaN or infinity: the likeliest token would be any.
 * @param advice what to do about it
 */
export function notNumbers(advice: string, status = 422): ProblemError {
  const detail = `The model's scores of what comes next hold NaN or infinity: its weights or the prompt are broken, or values overflow in 16 bits. ${advice}`;
  return new ProblemError("The result is not a number", detail, { status });
}
