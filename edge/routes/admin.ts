import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, ID_PATTERN, randomId } from "../../shared/protocol/ids.ts";
import { limitsSchema } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import type { App } from "../http/app-env.ts";
import { createKey, ledgerOf, providerOnly, providerOrTenantAdmin, scopes } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { reopen } from "../tenants/tenant-data.ts";
import { tenantIds } from "../tenants/tenant-ids.ts";
import { json, problems, secured } from "./route.ts";

/** Names and limits are short. */
const MAX_BODY = 16 * 1024;

const labelSchema = z.string().min(1).max(100);
const tenantSchema = z
  .object({ id: z.string(), name: labelSchema, created: z.string(), limits: limitsSchema })
  .meta({ id: "Tenant" });
const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()),
    created: z.string(),
    revoked: z.string().nullable(),
  })
  .meta({ id: "Key" });
const params = z.object({ tenant: z.string().regex(ID_PATTERN) });
const body = <S extends z.ZodType>(schema: S) => ({
  required: true,
  content: { "application/json": { schema } },
});
const limited = limitBody(MAX_BODY);

const provider = { security: secured, middleware: [providerOnly, limited] };
const owner = { security: secured, middleware: [providerOrTenantAdmin, limited] };

const listTenants = createRoute({
  operationId: "listTenants",
  tags: ["Administration"],
  ...provider,
  method: "get",
  path: "/v1/admin/tenants",
  summary: "All tenants",
  responses: { 200: json(z.object({ tenants: z.array(tenantSchema) }), "The tenants."), ...problems },
});

const createTenant = createRoute({
  operationId: "createTenant",
  tags: ["Administration"],
  ...provider,
  method: "post",
  path: "/v1/admin/tenants",
  summary: "Open an account",
  request: {
    body: body(
      z.strictObject({
        name: labelSchema,
        limits: limitsSchema,
        id: z
          .string()
          .regex(ID_PATTERN)
          .optional()
          .describe("Of an account whose data was deleted: it is opened again, and what was released still counts."),
      }),
    ),
  },
  responses: { 201: json(tenantSchema, "The tenant."), ...problems },
});

const putLimits = createRoute({
  operationId: "setLimits",
  tags: ["Administration"],
  ...provider,
  method: "put",
  path: "/v1/admin/tenants/{tenant}/limits",
  summary: "Change a tenant's limits",
  request: { params, body: body(limitsSchema) },
  responses: { 200: json(tenantSchema, "The tenant."), ...problems },
});

const listKeys = createRoute({
  operationId: "listKeys",
  tags: ["Administration"],
  ...owner,
  method: "get",
  path: "/v1/admin/tenants/{tenant}/keys",
  summary: "A tenant's keys, without their secrets",
  request: { params },
  responses: { 200: json(z.object({ keys: z.array(keySchema) }), "The keys."), ...problems },
});

const postKey = createRoute({
  operationId: "createKey",
  tags: ["Administration"],
  ...owner,
  method: "post",
  path: "/v1/admin/tenants/{tenant}/keys",
  summary: "Make a key; the answer is the only place where it is ever shown",
  request: {
    params,
    body: body(z.strictObject({ name: labelSchema, scopes: z.array(z.enum(scopes)).min(1) })),
  },
  responses: { 201: json(z.object({ id: z.string(), key: z.string() }), "The key."), ...problems },
});

const deleteKey = createRoute({
  operationId: "revokeKey",
  tags: ["Administration"],
  ...owner,
  method: "delete",
  path: "/v1/admin/tenants/{tenant}/keys/{key}",
  summary: "Revoke a key",
  request: { params: params.extend({ key: z.string() }) },
  responses: { 204: { description: "It is revoked." }, ...problems },
});

export function addAdminRoutes(app: App): void {
  app.openapi(listTenants, async (c) => {
    const tenants = [];
    for await (const tenant of tenantIds(c.env)) {
      const found = await find(c.env, tenant);
      if (found) tenants.push(found);
    }
    return c.json({ tenants }, 200);
  });

  app.openapi(createTenant, async (c) => {
    const { name, limits, id } = c.req.valid("json");
    const tenant = id ?? randomId(ID_LENGTH);
    if (id !== undefined && !(await reopen(c.env, id))) {
      throw new ProblemError("Not found", "There is no closed account of this id.", { status: 404 });
    }
    // First the mark by which reconciliation finds it, so that no account is ever without one.
    await c.env.PROMPTS.put(bucket.tenant(tenant), JSON.stringify({ id: tenant }));
    await ledgerOf(c.env, tenant).open(name, limits);
    return c.json(await describe(c.env, tenant), 201);
  });

  app.openapi(putLimits, async (c) => {
    const { tenant } = c.req.valid("param");
    await describe(c.env, tenant);
    await ledgerOf(c.env, tenant).setLimits(c.req.valid("json"));
    return c.json(await describe(c.env, tenant), 200);
  });

  app.openapi(listKeys, async (c) => {
    const { tenant } = c.req.valid("param");
    await describe(c.env, tenant);
    return c.json({ keys: await ledgerOf(c.env, tenant).keys() }, 200);
  });

  app.openapi(postKey, async (c) => {
    const { tenant } = c.req.valid("param");
    await describe(c.env, tenant);
    const { name, scopes } = c.req.valid("json");
    const { id, key, hash } = await createKey(c.env, tenant);
    await ledgerOf(c.env, tenant).addKey(id, hash, name, scopes);
    return c.json({ id, key }, 201);
  });

  app.openapi(deleteKey, async (c) => {
    const { tenant, key } = c.req.valid("param");
    await describe(c.env, tenant);
    if (!(await ledgerOf(c.env, tenant).revokeKey(key))) {
      throw new ProblemError("Not found", "There is no such key, or it is revoked already.", { status: 404 });
    }
    return c.body(null, 204);
  });
}

async function find(env: Env, id: string): Promise<z.output<typeof tenantSchema> | undefined> {
  const account = await ledgerOf(env, id).account();
  return account
    ? { id, name: account.name, created: new Date(account.created).toISOString(), limits: account.limits }
    : undefined;
}

/** @throws ProblemError (404) */
async function describe(env: Env, tenant: string): Promise<z.output<typeof tenantSchema>> {
  const found = await find(env, tenant);
  if (!found) throw new ProblemError("Not found", "There is no such tenant.", { status: 404 });
  return found;
}
