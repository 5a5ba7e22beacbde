import type { Command } from "commander";
import { registerBackups } from "../admin/backups.ts";
import { registerCatalogue } from "../admin/catalogue.ts";
import { registerKeys } from "../admin/keys.ts";
import { registerLimits } from "../admin/limits.ts";
import { registerAuditLog, registerUsage } from "../admin/records.ts";
import { registerTenants } from "../admin/tenants.ts";
import { registerTransfers } from "../admin/transfers.ts";
import { registerWebhooks } from "../admin/webhooks.ts";
import type { Io } from "../output.ts";

/** `softpost admin`: a provider's desk; a tenant's own admin key may do what is about its keys, its usage and its audit log. */
export function registerAdmin(program: Command, io: Io): void {
  const admin = program
    .command("admin")
    .description("administer a provider: tenants, keys, limits, transfers, webhooks, catalogue, usage, audit, backups");
  registerTenants(admin, io);
  registerKeys(admin, io);
  registerLimits(admin, io);
  registerTransfers(admin, io);
  registerWebhooks(admin, io);
  registerCatalogue(admin, io);
  registerUsage(admin, io);
  registerAuditLog(admin, io);
  registerBackups(admin, io);
}
