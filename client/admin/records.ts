import type { Command } from "commander";
import { z } from "zod";
import { type AuditEntry, auditEntrySchema, MICROS, usageSchema } from "../../shared/protocol/administration.ts";
import type { Api } from "../api/api.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { allTenants, TENANTS, tenantPath } from "./find-tenant.ts";
import { usageCsv } from "./usage-csv.ts";

const pageSchema = z.object({ entries: z.array(auditEntrySchema), has_more: z.boolean() });

interface UsageOptions extends AdminOptions {
  readonly tenant?: string;
  readonly month?: string;
  readonly csv?: boolean;
}

/** An entry, and whose it is: a tenant's id, or none for the provider's own. */
type Entry = AuditEntry & { readonly tenant: string | null };

/** `softpost admin usage`: what a bill is made of. */
export function registerUsage(admin: Command, io: Io): void {
  withAdmin(admin.command("usage"))
    .description("what was used in a month, by tenant, key and model")
    .option("--tenant <tenant>", "of one tenant, by id or name")
    .option("--month <yyyy-mm>", "of this month (UTC; default: the current one)")
    .option("--csv", "as CSV, with a line of names")
    .action((options: UsageOptions) => usage(options, io));
}

async function usage({ tenant, month, csv, ...options }: UsageOptions, io: Io): Promise<void> {
  const api = await adminApi(options, io);
  const path = tenant === undefined ? "/v1/admin/usage" : `${await tenantPath(api, tenant)}/usage`;
  const query = month === undefined ? "" : `?month=${encodeURIComponent(month)}`;
  const answer = await api.json(path + query, usageSchema);
  if (csv && !io.json) for (const line of usageCsv(answer)) io.row(line);
  else io.result(answer, describeUsage(answer));
}

function describeUsage({ currency, month, usage }: z.output<typeof usageSchema>): string {
  if (usage.length === 0) return `Nothing ended in ${month}.`;
  const lines = usage.map(({ tenant, tenantName, key, keyName, model, count, refunded, micros, deviceSeconds }) => {
    const by = key === null ? "" : `, key ${keyName ?? key}`;
    const back = refunded > 0 ? `, ${refunded} refunded` : "";
    return `${tenantName ?? tenant}${by}, ${model}: ${count} transfers${back}, ${deviceSeconds} device seconds, ${micros / MICROS} ${currency}`;
  });
  const total = usage.reduce((sum, { micros }) => sum + micros, 0) / MICROS;
  return [...lines, `${month} together: ${total} ${currency}`].join("\n");
}

/** `softpost admin audit`. */
export function registerAuditLog(admin: Command, io: Io): void {
  withAdmin(admin.command("audit"))
    .description("who changed what, when, with which key, oldest first")
    .option("--tenant <tenant>", "of one tenant, by id (also a deleted one's) or name")
    .action(async ({ tenant, ...options }: AdminOptions & { tenant?: string }) => {
      const api = await adminApi(options, io);
      const entries = tenant === undefined ? await everything(api) : await ofTenant(api, await tenantPath(api, tenant));
      io.result({ entries }, entries.map(describeEntry).join("\n") || "Nothing was changed yet.");
    });
}

async function everything(api: Api): Promise<Entry[]> {
  const own = (await pages(api, "/v1/admin/audit")).map((entry) => ({ ...entry, tenant: null }));
  const tenants = await allTenants(api);
  const theirs = await Promise.all(tenants.map(({ id }) => ofTenant(api, `${TENANTS}/${id}`)));
  return [...own, ...theirs.flat()].sort((a, b) => a.at.localeCompare(b.at));
}

async function ofTenant(api: Api, path: string): Promise<Entry[]> {
  const tenant = path.slice(TENANTS.length + 1);
  return (await pages(api, `${path}/audit`)).map((entry) => ({ ...entry, tenant }));
}

async function pages(api: Api, path: string): Promise<AuditEntry[]> {
  const all: AuditEntry[] = [];
  for (;;) {
    const { entries, has_more } = await api.json(`${path}?after=${all.at(-1)?.sequence ?? 0}`, pageSchema);
    all.push(...entries);
    if (!has_more || entries.length === 0) return all;
  }
}

function describeEntry({ at, actor, action, target, detail, tenant }: Entry): string {
  const where = tenant === null ? "" : ` of ${tenant}`;
  const what = Object.keys(detail).length === 0 ? "" : ` ${JSON.stringify(detail)}`;
  return `${at} ${actor}: ${action} ${target}${where}${what}`.replace("  ", " ");
}
