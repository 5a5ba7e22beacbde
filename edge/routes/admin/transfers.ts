import { createRoute } from "@hono/zod-openapi";
import { transferPageSchema } from "../../../shared/protocol/transfer.ts";
import type { App } from "../../http/app-env.ts";
import { json, problems } from "../route.ts";
import { listQuery, pageOf } from "../transfer.ts";
import { needTenant, provider, tenantParams } from "./shared.ts";

const listTenantTransfers = createRoute({
  operationId: "listTenantTransfers",
  ...provider,
  method: "get",
  path: "/v1/admin/tenants/{tenant}/transfers",
  summary: "A tenant's transfers, newest first: which failed, and why",
  request: { params: tenantParams, query: listQuery },
  responses: { 200: json(transferPageSchema, "A page."), ...problems },
});

export function addTenantTransferRoutes(app: App): void {
  app.openapi(listTenantTransfers, async (c) => {
    const { id } = await needTenant(c.env, c.req.valid("param").tenant);
    return c.json(await pageOf(c.env, id, c.req.valid("query")), 200);
  });
}
