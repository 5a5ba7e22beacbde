import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { ID_PATTERN } from "../../../shared/protocol/ids.ts";
import type { App } from "../../http/app-env.ts";
import { actorOf, registerOf } from "../../http/auth.ts";
import { backedUp, backUp, backups, restoreBackup } from "../../tenants/backup.ts";
import { tenantIds } from "../../tenants/tenant-ids.ts";
import { json, problems } from "../route.ts";
import { provider } from "./shared.ts";

const nameSchema = z.string().regex(/^\d{4}-\d\d-\d\d(T\d{6}Z)?$/, "Is no backup's name, such as 2026-11-30.");
const backupSchema = z
  .object({ name: z.string(), tenants: z.array(z.string()) })
  .meta({ id: "Backup", examples: [{ name: "2026-11-30", tenants: ["k3v7q2m5x4a6b7c2"] }] });

const listBackups = createRoute({
  operationId: "listBackups",
  ...provider,
  method: "get",
  path: "/v1/admin/backups",
  summary: "Which backups of ledgers there are",
  description: "The scheduled run makes one a day, named by it, and keeps it for 30.",
  responses: { 200: json(z.object({ backups: z.array(backupSchema) }), "Oldest first."), ...problems },
});

const postBackup = createRoute({
  operationId: "makeBackup",
  ...provider,
  method: "post",
  path: "/v1/admin/backups",
  summary: "Write every tenant's ledger into the bucket, encrypted with BACKUP_KEY",
  responses: { 201: json(backupSchema, "It is written."), ...problems },
});

const postRestore = createRoute({
  operationId: "restoreBackup",
  ...provider,
  method: "post",
  path: "/v1/admin/backups/{name}/tenants/{tenant}/restore",
  summary: "Set a tenant's ledger back to a backup",
  description:
    "Keys, limits and transfers are then those of the backup; transfers that ended since are settled again from the bucket. What was released since stays released, and the audit log is only added to.",
  request: { params: z.object({ name: nameSchema, tenant: z.string().regex(ID_PATTERN) }) },
  responses: { 204: { description: "It is set back." }, ...problems },
});

export function addBackupRoutes(app: App): void {
  app.openapi(listBackups, async (c) => {
    return c.json({ backups: await backups(c.env) }, 200);
  });

  app.openapi(postBackup, async (c) => {
    const name = `${new Date().toISOString().slice(0, 19).replaceAll(":", "")}Z`;
    for await (const tenant of tenantIds(c.env)) await backUp(c.env, name, tenant);
    await registerOf(c.env).note({ actor: actorOf(c), action: "backup.made", target: name });
    return c.json({ name, tenants: await backedUp(c.env, name) }, 201);
  });

  app.openapi(postRestore, async (c) => {
    const { name, tenant } = c.req.valid("param");
    const detail = { backup: name };
    await registerOf(c.env).note({ actor: actorOf(c), action: "tenant.restored", target: tenant, detail });
    await restoreBackup(c.env, name, tenant);
    return c.body(null, 204);
  });
}
