import type { ProblemError } from "../../shared/protocol/errors.ts";
import { notNumbers } from "../../shared/training/scores.ts";

/** What a client is told where scores aren't numbers: neither the target nor a transferred prompt is its own doing. */
export function scoresFault(): ProblemError {
  return notNumbers("Use another prompt, or none; if that is no better, tell the provider.", 500);
}
