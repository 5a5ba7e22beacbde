import { z } from "zod";
import type { TenantRecord } from "../../../shared/protocol/administration.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../../shared/protocol/ids.ts";
import type { Env } from "../../env.ts";
import { ledgerOf, providerOnly, providerOrTenantAdmin } from "../../http/auth.ts";
import { limitBody } from "../../http/upload.ts";
import { findTenant } from "../../tenants/tenant-view.ts";
import { secured } from "../route.ts";

/** Names and limits are short. */
const MAX_BODY = 16 * 1024;
const limited = limitBody(MAX_BODY);

const common = { tags: ["Administration"], security: secured };

/** Who may call a route: the provider, or also a tenant's own admin key for that tenant. */
export const provider = { ...common, middleware: [providerOnly, limited] };
export const owner = { ...common, middleware: [providerOrTenantAdmin, limited] };

export const tenantParams = z.object({ tenant: z.string().regex(ID_PATTERN, "Is no tenant's id.") });

export function body<S extends z.ZodType>(schema: S) {
  return { required: true, content: { "application/json": { schema } } };
}

/** @throws ProblemError (404) */
export async function needTenant(env: Env, id: string): Promise<TenantRecord> {
  const found = await findTenant(env, id);
  if (!found) throw new ProblemError("Not found", "There is no such tenant.", { status: 404 });
  return found;
}

/** The desk of a tenant whose account is open. @throws ProblemError (404) */
export async function deskOf(env: Env, id: string) {
  await needTenant(env, id);
  return ledgerOf(env, id);
}
