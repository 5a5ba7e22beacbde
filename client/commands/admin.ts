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

/** What to type, and what then, for every part of the desk. */
const HELP: Readonly<Record<string, { readonly example: string; readonly next: string }>> = {
  tenants: { example: 'tenants create "Acme GmbH" --dir provider', next: "softpost admin keys create (a key for it)" },
  keys: {
    example: 'keys create "Acme GmbH" --name ci --scope read submit --out acme.key',
    next: "hand the file to the tenant",
  },
  limits: {
    example: 'limits set "Acme GmbH" --money 50 --epsilon 8',
    next: "softpost admin limits show (what is used of it)",
  },
  transfers: {
    example: 'transfers "Acme GmbH" --state failed',
    next: "docs/runbook.md (why one fails, and what helps)",
  },
  webhooks: {
    example: 'webhooks create "Acme GmbH" https://example.com/hook',
    next: "softpost admin webhooks deliveries (what came of them)",
  },
  catalogue: { example: "catalogue retire student STUDENT", next: "softpost students (what clients see)" },
  usage: { example: "usage --month 2026-11 --csv", next: "softpost admin audit (who changed what)" },
  audit: {
    example: 'audit --tenant "Acme GmbH"',
    next: "softpost admin keys revoke (where a key did what it should not)",
  },
  backups: { example: "backups create", next: "softpost admin backups restore (docs/runbook.md has the drill)" },
};

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
  for (const command of admin.commands) {
    const { example, next } = HELP[command.name()]!;
    command.addHelpText("after", `\nExample:\n  softpost admin ${example}\n\nNext: ${next}`);
  }
  admin.addHelpText(
    "after",
    "\nExample:\n  softpost admin tenants create NAME --dir provider\n\nNext: softpost admin tenants --help",
  );
}
