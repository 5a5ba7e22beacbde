import { z } from "zod";
import { type TenantRecord, tenantSchema } from "../../shared/protocol/administration.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import type { Api } from "../api/api.ts";

export const TENANTS = "/v1/admin/tenants";
const listSchema = z.object({ tenants: z.array(tenantSchema) });

export async function allTenants(api: Api): Promise<TenantRecord[]> {
  return (await api.json(TENANTS, listSchema)).tenants;
}

/**
 * A tenant's path in the API, by its id or by its name.
 *
 * @throws ProblemError if there is none of the name, or several
 */
export async function tenantPath(api: Api, tenant: string): Promise<string> {
  return `${TENANTS}/${ID_PATTERN.test(tenant) ? tenant : await idOf(api, tenant)}`;
}

async function idOf(api: Api, name: string): Promise<string> {
  const found = (await allTenants(api)).filter((each) => each.name === name);
  if (found.length === 1) return found[0]!.id;
  const ids = found.map(({ id }) => id).join(", ");
  const detail =
    found.length === 0 ? "softpost admin tenants lists them" : `Several have the name: use an id of ${ids}`;
  throw new ProblemError("The tenant is not known", `${JSON.stringify(name)}: ${detail}.`, { status: 404 });
}
