import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import {
  changedLimits,
  DEFAULT_LIMITS,
  daysSchema,
  labelSchema,
  limitedTenantSchema,
  limitsChangeSchema,
  requireChange,
  tenantSchema,
} from "../../../shared/protocol/administration.ts";
import { bucket } from "../../../shared/protocol/bucket.ts";
import { budgetSchema, limitsSchema } from "../../../shared/protocol/budget.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { ID_LENGTH, ID_PATTERN, randomId } from "../../../shared/protocol/ids.ts";
import type { Env } from "../../env.ts";
import type { App } from "../../http/app-env.ts";
import { actorOf, ledgerOf, registerOf } from "../../http/auth.ts";
import { reopen } from "../../tenants/tenant-data.ts";
import { tenantIds } from "../../tenants/tenant-ids.ts";
import { belowUse, findTenant } from "../../tenants/tenant-view.ts";
import { rateOf } from "../../transfers/price.ts";
import { json, problems } from "../route.ts";
import { body, deskOf, needTenant, provider, tenantParams } from "./shared.ts";

const path = "/v1/admin/tenants/{tenant}" as const;

const listTenants = createRoute({
  operationId: "listTenants",
  ...provider,
  method: "get",
  path: "/v1/admin/tenants",
  summary: "All tenants, with what each has spent, reserved and left",
  responses: { 200: json(z.object({ tenants: z.array(tenantSchema) }), "The tenants."), ...problems },
});

const createTenant = createRoute({
  operationId: "createTenant",
  ...provider,
  method: "post",
  path: "/v1/admin/tenants",
  summary: "Open an account",
  description: "A name is enough: limits that aren't named have defaults, which the answer shows.",
  request: {
    body: body(
      z
        .strictObject({
          name: labelSchema,
          limits: limitsChangeSchema.default({}),
          id: z
            .string()
            .regex(ID_PATTERN)
            .optional()
            .describe("Of an account whose data was deleted: it is opened again, and what was released still counts."),
        })
        .meta({ examples: [{ name: "Acme" }, { name: "Acme", limits: { money: 250, concurrent: 2 } }] }),
    ),
  },
  responses: { 201: json(tenantSchema, "The tenant."), ...problems },
});

const getTenant = createRoute({
  operationId: "getTenant",
  ...provider,
  method: "get",
  path,
  summary: "A tenant, with what it has spent, reserved and left",
  request: { params: tenantParams },
  responses: { 200: json(tenantSchema, "The tenant."), ...problems },
});

const patchTenant = createRoute({
  operationId: "changeTenant",
  ...provider,
  method: "patch",
  path,
  summary: "Rename, suspend or resume a tenant, or set how long it keeps finished transfers",
  request: {
    params: tenantParams,
    body: body(
      z
        .strictObject({
          name: labelSchema.optional(),
          suspended: z.boolean().optional(),
          retentionDays: daysSchema.nullable().optional(),
        })
        .meta({ examples: [{ suspended: true }, { retentionDays: 90 }] }),
    ),
  },
  responses: { 200: json(tenantSchema, "The tenant."), ...problems },
});

const getBudget = createRoute({
  operationId: "getTenantBudget",
  ...provider,
  method: "get",
  path: `${path}/budget`,
  summary: "A tenant's budgets, its data sets' privacy included",
  request: { params: tenantParams },
  responses: { 200: json(budgetSchema, "As the tenant's own keys see them."), ...problems },
});

const putLimits = createRoute({
  operationId: "setLimits",
  ...provider,
  method: "put",
  path: `${path}/limits`,
  summary: "Set all of a tenant's limits",
  request: { params: tenantParams, body: body(limitsSchema) },
  responses: { 200: json(limitedTenantSchema, "The tenant."), ...problems },
});

const patchLimits = createRoute({
  operationId: "changeLimits",
  ...provider,
  method: "patch",
  path: `${path}/limits`,
  summary: "Change some of a tenant's limits; the others stay",
  request: { params: tenantParams, body: body(limitsChangeSchema) },
  responses: {
    200: json(limitedTenantSchema, "The tenant, and which limits are now below what it uses."),
    ...problems,
  },
});

export function addTenantRoutes(app: App): void {
  app.openapi(listTenants, async (c) => {
    const tenants = [];
    for await (const tenant of tenantIds(c.env)) {
      const found = await findTenant(c.env, tenant);
      if (found) tenants.push(found);
    }
    return c.json({ tenants }, 200);
  });

  app.openapi(createTenant, async (c) => {
    const { name, limits, id } = c.req.valid("json");
    const tenant = id ?? randomId(ID_LENGTH);
    const open = async () => {
      // First the mark by which reconciliation finds it, so that no account is ever without one.
      await c.env.PROMPTS.put(bucket.tenant(tenant), JSON.stringify({ id: tenant }));
      await registerOf(c.env).note({ actor: actorOf(c), action: "tenant.created", target: tenant });
      await ledgerOf(c.env, tenant).open(name, changedLimits(DEFAULT_LIMITS, limits), actorOf(c));
    };
    if (id === undefined) await open();
    else if (!(await reopen(c.env, id, open))) {
      throw new ProblemError("Not found", "There is no closed account of this id.", { status: 404 });
    }
    return c.json(await needTenant(c.env, tenant), 201);
  });

  app.openapi(getTenant, async (c) => c.json(await needTenant(c.env, c.req.valid("param").tenant), 200));

  app.openapi(patchTenant, async (c) => {
    const { tenant } = c.req.valid("param");
    const change = c.req.valid("json");
    requireChange(change);
    const desk = await deskOf(c.env, tenant);
    const { retentionDays } = change;
    // First the mark by which the scheduled run finds it.
    if (retentionDays != null) await registerOf(c.env).keepsForDays(tenant, true);
    await desk.changeAccount(change, actorOf(c));
    if (retentionDays === null) await registerOf(c.env).keepsForDays(tenant, false);
    return c.json(await needTenant(c.env, tenant), 200);
  });

  app.openapi(getBudget, async (c) => {
    const { tenant } = c.req.valid("param");
    const budget = await (await deskOf(c.env, tenant)).budget(c.env.CURRENCY);
    return c.json({ ...budget, rate: rateOf(c.env) }, 200);
  });

  app.openapi(putLimits, async (c) => {
    const { tenant } = c.req.valid("param");
    await (await deskOf(c.env, tenant)).changeLimits(c.req.valid("json"), actorOf(c));
    return c.json(await limited(c.env, tenant), 200);
  });

  app.openapi(patchLimits, async (c) => {
    const { tenant } = c.req.valid("param");
    const change = c.req.valid("json");
    requireChange(change);
    await (await deskOf(c.env, tenant)).changeLimits(change, actorOf(c));
    return c.json(await limited(c.env, tenant), 200);
  });
}

async function limited(env: Env, id: string) {
  const tenant = await needTenant(env, id);
  return { ...tenant, below: belowUse(tenant) };
}
