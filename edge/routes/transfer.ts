import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";

/** Parts that the routes of a transfer share. */
export const idSchema = z.string().regex(ID_PATTERN, "Is no transfer's id.");

/** @throws ProblemError (404) */
export function found<T>(value: T | null): T {
  if (value === null) throw new ProblemError("Not found", "There is no such transfer.", { status: 404 });
  return value;
}

/** @throws ProblemError (409, 410) if it has no files, or has them no longer */
export function requireFiles({ state, deleted }: Transfer): void {
  if (deleted !== null) throw new ProblemError("Deleted", `Its files were deleted on ${deleted}.`, { status: 410 });
  if (state !== "succeeded") throw new ProblemError("Not found", `It is ${state}, not succeeded.`, { status: 409 });
}
