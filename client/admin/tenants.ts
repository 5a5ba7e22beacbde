import type { Command } from "commander";
import { z } from "zod";
import { tenantSchema } from "../../shared/protocol/administration.ts";
import { sending } from "../api/transport.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { allTenants, TENANTS, tenantPath } from "./find-tenant.ts";
import { describeTenant, type LimitFlags, limitsChange, withLimits } from "./limits.ts";
import { confirm } from "./prompt.ts";

const closedSchema = z.object({
  objects: z.int(),
  kept: z.object({ why: z.string(), datasets: z.array(z.unknown()) }),
});

interface CreateOptions extends AdminOptions, LimitFlags {
  readonly id?: string;
}

interface SetOptions extends AdminOptions {
  readonly name?: string;
  readonly retentionDays?: number;
  /** False for `--no-retention`. */
  readonly retention?: boolean;
}

/** `softpost admin tenants`. */
export function registerTenants(admin: Command, io: Io): void {
  const tenants = admin.command("tenants").description("open, list, change, suspend and delete accounts");
  withAdmin(tenants.command("list", { isDefault: true }))
    .description("all tenants, with what each has spent, reserved and left")
    .action(async (options: AdminOptions) => {
      const found = await allTenants(await adminApi(options, io));
      io.result({ tenants: found }, found.map(describeTenant).join("\n") || "No tenants yet.");
    });
  withLimits(withAdmin(tenants.command("create")))
    .description("open an account; limits that aren't given have defaults, which are shown")
    .argument("<name>", "its name")
    .option("--id <id>", "of an account whose data was deleted, to open it again")
    .action((name: string, options: CreateOptions) => create(name, options, io));
  withAdmin(tenants.command("set"))
    .description("rename a tenant, or set how long it keeps finished transfers")
    .argument("<tenant>", "id or name")
    .option("--name <name>", "its new name")
    .option(
      "--retention-days <n>",
      "days after which the files of a finished transfer or prediction go",
      wholeNumber(1),
    )
    .option("--no-retention", "they stay")
    .action((tenant: string, { name, retentionDays, retention, ...options }: SetOptions) => {
      const days = retention === false ? null : retentionDays;
      return change(tenant, { name, retentionDays: days }, options, io);
    });
  for (const suspended of [true, false]) {
    withAdmin(tenants.command(suspended ? "suspend" : "resume"))
      .description(suspended ? "its keys open nothing; what is under way is finished" : "its keys work again")
      .argument("<tenant>", "id or name")
      .action((tenant: string, options: AdminOptions) => change(tenant, { suspended }, options, io));
  }
  withAdmin(tenants.command("delete"))
    .description("cancel what runs, delete a tenant's data and close its account")
    .argument("<tenant>", "id or name")
    .option("--confirm <name>", "the tenant's name, to say that it is meant (default: it is asked for)")
    .action((tenant: string, options: AdminOptions & { confirm?: string }) => remove(tenant, options, io));
}

async function create(name: string, options: CreateOptions, io: Io): Promise<void> {
  const api = await adminApi(options, io);
  const { id } = options;
  const body = { name, limits: limitsChange(options, null), ...(id !== undefined && { id }) };
  const made = await api.json(TENANTS, tenantSchema, sending("POST", body));
  io.result(
    made,
    `${describeTenant(made)}\nNext: softpost admin keys create ${made.id} --name first --scope read submit`,
  );
}

async function change(tenant: string, body: object, options: AdminOptions, io: Io): Promise<void> {
  const api = await adminApi(options, io);
  const after = await api.json(await tenantPath(api, tenant), tenantSchema, sending("PATCH", body));
  io.result(after, describeTenant(after));
}

async function remove(tenant: string, options: AdminOptions & { confirm?: string }, io: Io): Promise<void> {
  const api = await adminApi(options, io);
  const path = await tenantPath(api, tenant);
  const { id, name } = await api.json(path, tenantSchema);
  const what = `The data of ${name} (${id}) is deleted: keys, prompts, results; what runs is cancelled.`;
  await confirm(io, what, name, options.confirm);
  const closed = await api.json(path, closedSchema, { method: "DELETE" });
  const text = `${id}: ${closed.objects} objects are removed. Kept: ${closed.kept.why}`;
  io.result({ id, ...closed }, text);
}
