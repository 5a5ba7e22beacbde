import { z } from "zod";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import { states, type Transfer, type transferPageSchema } from "../../shared/protocol/transfer.ts";
import { optionsSchema } from "../../shared/protocol/transfer-options.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";

/** Parts that the routes of a transfer share. */
export const idSchema = z.string().regex(ID_PATTERN, "Is no transfer's id.");

const PAGE = 100;

/** What is asked for of a list of transfers. */
export const listQuery = z.object({
  state: z.enum(states).optional(),
  student: nameSchema.optional(),
  dataset: optionsSchema.shape.dataset.optional(),
  created_after: z.iso.datetime().optional(),
  limit: z.coerce.number<string>().int().min(1).max(PAGE).default(PAGE),
  cursor: idSchema.optional().describe("Of the page before."),
});

/** A page of a tenant's transfers. @throws ProblemError (400) if the cursor is none of its transfers */
export async function pageOf(
  env: Env,
  tenant: string,
  { limit, cursor, created_after, ...named }: z.output<typeof listQuery>,
): Promise<z.output<typeof transferPageSchema>> {
  const filter = { ...named, createdAfter: created_after === undefined ? undefined : Date.parse(created_after) };
  const page = await ledgerOf(env, tenant).list(limit + 1, filter, cursor);
  if (page === null) {
    const faults = [{ at: "query#/cursor", message: "Is none of your transfers." }];
    throw new ProblemError("The request is not valid", "The page after an unknown transfer isn't known.", { faults });
  }
  const transfers = page.slice(0, limit);
  const has_more = page.length > limit;
  return { transfers, has_more, cursor: has_more ? transfers.at(-1)!.id : null };
}

/** What is asked for by a transfer's id. @throws ProblemError (404), also for predictions, which are no transfers */
export function found<T extends object>(value: T | null): T {
  if (value === null || !isTransfer(value))
    throw new ProblemError("Not found", "There is no such transfer.", { status: 404 });
  return value;
}

const isTransfer = (value: object) => !("kind" in value) || value.kind === "transfer";

/** @throws ProblemError (409, 410) if it has no files, or has them no longer */
export function requireFiles({ state, deleted }: Transfer): void {
  if (deleted !== null) throw new ProblemError("Deleted", `Its files were deleted on ${deleted}.`, { status: 410 });
  if (state !== "succeeded") throw new ProblemError("Not found", `It is ${state}, not succeeded.`, { status: 409 });
}
