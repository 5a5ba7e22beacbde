import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import {
  type AuditEntry,
  auditEntrySchema,
  dailyUsageSchema,
  monthSchema,
  type UsageRow,
  usageSchema,
} from "../../../shared/protocol/administration.ts";
import { bucket } from "../../../shared/protocol/bucket.ts";
import type { Env } from "../../env.ts";
import type { App } from "../../http/app-env.ts";
import { ledgerOf, registerOf } from "../../http/auth.ts";
import type { AuditRow } from "../../ledger/audit-log.ts";
import { keysOf, tenantIds } from "../../tenants/tenant-ids.ts";
import { json, problems } from "../route.ts";
import { owner, provider, tenantParams } from "./shared.ts";

const PAGE = 1000;

const usageQuery = z.object({ month: monthSchema.optional().describe("UTC; this month where there is none.") });
const auditQuery = z.object({ after: z.coerce.number<string>().int().nonnegative().default(0) });
const auditPage = json(
  z.object({ entries: z.array(auditEntrySchema), has_more: z.boolean() }),
  `At most ${PAGE}; go on with after=sequence.`,
);

const getUsage = createRoute({
  operationId: "getUsageOfAll",
  ...provider,
  method: "get",
  path: "/v1/admin/usage",
  summary: "What was used in a month, by tenant, key and model",
  description: "Also of tenants whose data was deleted since.",
  request: { query: usageQuery },
  responses: { 200: json(usageSchema, "The usage."), ...problems },
});

const getTenantUsage = createRoute({
  operationId: "getUsageOfTenant",
  ...owner,
  method: "get",
  path: "/v1/admin/tenants/{tenant}/usage",
  summary: "What a tenant used in a month, by key and model",
  request: { params: tenantParams, query: usageQuery },
  responses: { 200: json(usageSchema, "The usage."), ...problems },
});

const getTenantDays = createRoute({
  operationId: "getDailyUsageOfTenant",
  ...owner,
  method: "get",
  path: "/v1/admin/tenants/{tenant}/usage/days",
  summary: "What a tenant used in a month, transfers and models, by day",
  request: { params: tenantParams, query: usageQuery },
  responses: { 200: json(dailyUsageSchema, "The days on which something was used."), ...problems },
});

const getAudit = createRoute({
  operationId: "getAudit",
  ...provider,
  method: "get",
  path: "/v1/admin/audit",
  summary: "Who changed what that is no one tenant's: tenants opened and deleted, the catalogue; oldest first",
  request: { query: auditQuery },
  responses: { 200: auditPage, ...problems },
});

const getTenantAudit = createRoute({
  operationId: "getTenantAudit",
  ...owner,
  method: "get",
  path: "/v1/admin/tenants/{tenant}/audit",
  summary: "Who changed what of a tenant, oldest first",
  description: "It is only added to, and stays when the tenant's data is deleted.",
  request: { params: tenantParams, query: auditQuery },
  responses: { 200: auditPage, ...problems },
});

export function addRecordRoutes(app: App): void {
  app.openapi(getUsage, async (c) => {
    const month = c.req.valid("query").month ?? thisMonth();
    // While an account is being closed or opened again it has both marks.
    const tenants = new Set<string>();
    for await (const tenant of tenantIds(c.env)) tenants.add(tenant);
    for await (const mark of keysOf(c.env, bucket.closed(""))) tenants.add(mark.slice(bucket.closed("").length));
    const usage: UsageRow[] = [];
    for (const tenant of tenants) usage.push(...(await usageOf(c.env, tenant, month)));
    return c.json({ currency: c.env.CURRENCY, month, usage }, 200);
  });

  app.openapi(getTenantUsage, async (c) => {
    const month = c.req.valid("query").month ?? thisMonth();
    const usage = await usageOf(c.env, c.req.valid("param").tenant, month);
    return c.json({ currency: c.env.CURRENCY, month, usage }, 200);
  });

  app.openapi(getTenantDays, async (c) => {
    const month = c.req.valid("query").month ?? thisMonth();
    const days = await ledgerOf(c.env, c.req.valid("param").tenant).dailyUsage(month);
    return c.json({ currency: c.env.CURRENCY, month, days }, 200);
  });

  app.openapi(getAudit, async (c) => {
    const entries = await registerOf(c.env).audit(PAGE + 1, c.req.valid("query").after);
    return c.json(pageOf(entries), 200);
  });

  app.openapi(getTenantAudit, async (c) => {
    const desk = ledgerOf(c.env, c.req.valid("param").tenant);
    const entries = await desk.audit(PAGE + 1, c.req.valid("query").after);
    return c.json(pageOf(entries), 200);
  });
}

/** @param rows one more than a page, where there are more */
function pageOf(rows: readonly AuditRow[]): { entries: AuditEntry[]; has_more: boolean } {
  const entries = rows.slice(0, PAGE).map(({ at, detail, ...row }) => {
    return { ...row, at: new Date(at).toISOString(), detail: JSON.parse(detail) };
  });
  return { entries, has_more: rows.length > PAGE };
}

async function usageOf(env: Env, tenant: string, month: string): Promise<UsageRow[]> {
  const desk = ledgerOf(env, tenant);
  const [account, rows] = await Promise.all([desk.account(), desk.usage(month)]);
  const tenantName = account?.name ?? null;
  return rows.map((row) => ({ ...row, tenant, tenantName, kind: "transfer" as const }));
}

function thisMonth(): string {
  return new Date().toISOString().slice(0, 7);
}
