import { createRoute } from "@hono/zod-openapi";
import { stream } from "hono/streaming";
import { z } from "zod";
import { budgetSchema } from "../../shared/protocol/budget.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import type { App } from "../http/app-env.ts";
import { actorOf, ledgerOf, providerOnly, providerOrTenantAdmin, registerOf } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { closeTenant, exportTenant } from "../tenants/tenant-data.ts";
import { deskOf } from "./admin/shared.ts";
import { json, problems, secured } from "./route.ts";

/** A time. */
const MAX_RESTORE_BYTES = 1024;

const params = z.object({ tenant: z.string().regex(ID_PATTERN) });

const getExport = createRoute({
  operationId: "exportTenant",
  tags: ["Administration"],
  method: "get",
  path: "/v1/admin/tenants/{tenant}/export",
  summary: "Everything that is stored of a tenant",
  description:
    "A JSON object a line: rows of the ledger (`table`), objects of the bucket (`object`, `base64`), and at last `end` with the number of lines before it: without it, the export was cut off. After a deletion it shows what was kept.",
  security: secured,
  middleware: [providerOrTenantAdmin],
  request: { params },
  responses: {
    200: {
      description: "The export.",
      content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
    },
    ...problems,
  },
});

const closedSchema = z
  .object({
    objects: z.int().describe("Objects that were removed from the bucket."),
    kept: z.object({
      why: z.string(),
      datasets: budgetSchema.shape.privacy.shape.datasets,
    }),
  })
  .meta({ id: "Closed" });

const WHY =
  "Of each released prompt the privacy record, the data set's opaque id and the prompt's digest: what was released stays released, and must count if prompts from the same data follow. Of each transfer its id, times, options, device seconds and price, for the books; and of each change who made it and when, by ids and numbers. Nothing else.";

const deleteTenant = createRoute({
  operationId: "deleteTenant",
  tags: ["Administration"],
  method: "delete",
  path: "/v1/admin/tenants/{tenant}",
  summary: "Delete a tenant's data and close its account",
  description:
    "Unfinished transfers are cancelled. Can be repeated; answered with 503 while a transfer can't be ended.",
  security: secured,
  middleware: [providerOnly],
  request: { params },
  responses: { 200: json(closedSchema, "What was removed, and what was kept."), ...problems },
});

const postRestore = createRoute({
  operationId: "restoreLedger",
  tags: ["Administration"],
  method: "post",
  path: "/v1/admin/tenants/{tenant}/restore",
  summary: "Set a tenant's ledger back to what it was at a time",
  description:
    "At most 30 days ago. Keys, limits and transfers are then those of that time; transfers that ended since are settled again from the bucket. Cloudflare keeps the history; a provider on one machine has none.",
  security: secured,
  middleware: [providerOnly, limitBody(MAX_RESTORE_BYTES)],
  request: {
    params,
    body: {
      required: true,
      content: { "application/json": { schema: z.strictObject({ at: z.iso.datetime() }) } },
    },
  },
  responses: { 202: { description: "It is set back at its next use." }, ...problems },
});

export function addTenantDataRoutes(app: App): void {
  app.openapi(getExport, async (c) => {
    const { tenant } = c.req.valid("param");
    const lines = exportTenant(c.env, tenant);
    // An account that never was has nothing but the end.
    const first = await lines.next();
    if (first.value?.includes('"end":true')) throw noTenant();
    c.header("content-type", "application/octet-stream");
    c.header("content-disposition", `attachment; filename="${tenant}.jsonl"`);
    return stream(c, async (out) => {
      await out.write(first.value!);
      for await (const line of lines) await out.write(line);
    });
  });

  app.openapi(postRestore, async (c) => {
    const { tenant } = c.req.valid("param");
    const ledger = ledgerOf(c.env, tenant);
    // In the provider's log: the ledger's own is set back too.
    const deed = { actor: actorOf(c), action: "tenant.restored", target: tenant, detail: c.req.valid("json") };
    await registerOf(c.env).note(deed);
    // Transfers that ended since are unfinished again.
    await registerOf(c.env).add(tenant);
    try {
      await ledger.restore(Date.parse(c.req.valid("json").at));
    } catch (cause) {
      const detail = "There is no history of that time: it is kept for 30 days, and only on Cloudflare.";
      throw new ProblemError("The ledger can't be set back", detail, { status: 409, cause });
    }
    return c.body(null, 202);
  });

  app.openapi(deleteTenant, async (c) => {
    const { tenant } = c.req.valid("param");
    const desk = await deskOf(c.env, tenant);
    await desk.note(actorOf(c), "tenant.deleted", "");
    await registerOf(c.env).note({ actor: actorOf(c), action: "tenant.deleted", target: tenant });
    const { objects, datasets } = await closeTenant(c.env, tenant);
    return c.json({ objects, kept: { why: WHY, datasets } }, 200);
  });
}

function noTenant(): ProblemError {
  return new ProblemError("Not found", "There is no such tenant.", { status: 404 });
}
