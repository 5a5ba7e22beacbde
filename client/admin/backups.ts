import type { Command } from "commander";
import { z } from "zod";
import { tenantSchema } from "../../shared/protocol/administration.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { tenantPath } from "./find-tenant.ts";
import { confirm } from "./prompt.ts";

const PATH = "/v1/admin/backups";
const backupSchema = z.object({ name: z.string(), tenants: z.array(z.string()) });

/** `softpost admin backups`. */
export function registerBackups(admin: Command, io: Io): void {
  const backups = admin
    .command("backups")
    .description("encrypted copies of all tenants' ledgers in the bucket; one a day is made anyway");
  withAdmin(backups.command("list", { isDefault: true }))
    .description("which there are")
    .action(async (options: AdminOptions) => {
      const api = await adminApi(options, io);
      const answer = await api.json(PATH, z.object({ backups: z.array(backupSchema) }));
      const lines = answer.backups.map(({ name, tenants }) => `${name}: ${tenants.length} tenants`);
      io.result(answer, lines.join("\n") || "No backups yet.");
    });
  withAdmin(backups.command("create"))
    .description("make one now")
    .action(async (options: AdminOptions) => {
      const made = await (await adminApi(options, io)).json(PATH, backupSchema, { method: "POST" });
      io.result(made, `${made.name}: ${made.tenants.length} tenants`);
    });
  withAdmin(backups.command("restore"))
    .description("set one tenant's ledger back to a backup; what was released since stays released")
    .argument("<name>", "the backup's name")
    .argument("<tenant>", "id or name; a tenant that is lost has its id only")
    .option("--confirm <tenant>", "the tenant's id, to say that it is meant (default: it is asked for)")
    .action(async (name: string, tenant: string, options: AdminOptions & { confirm?: string }) => {
      const api = await adminApi(options, io);
      const id = ID_PATTERN.test(tenant) ? tenant : (await api.json(await tenantPath(api, tenant), tenantSchema)).id;
      await confirm(io, `Keys, limits and transfers of ${id} become those of the backup ${name}.`, id, options.confirm);
      const path = `${PATH}/${encodeURIComponent(name)}/tenants/${id}/restore`;
      await (await api.request(path, { method: "POST" })).body?.cancel();
      io.result({ name, tenant: id, restored: true }, `${id} is set back to ${name}.`);
    });
}
