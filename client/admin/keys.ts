import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { type KeyRecord, keyListSchema, newKeySchema } from "../../shared/protocol/administration.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { sending } from "../api/transport.ts";
import { numberBetween, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { tenantPath } from "./find-tenant.ts";

interface OutOptions extends AdminOptions {
  readonly out?: string;
}

interface CreateOptions extends OutOptions {
  readonly name: string;
  readonly scope: readonly string[];
  readonly days?: number;
}

const OUT = "new file for the secret, which only you may read (default: it is printed)";

/** `softpost admin keys`. */
export function registerKeys(admin: Command, io: Io): void {
  const keys = admin.command("keys").description("make, list, rotate and revoke a tenant's API keys");
  withAdmin(keys.command("list"))
    .description("a tenant's keys with their last use, without their secrets")
    .argument("<tenant>", "id or name")
    .action(async (tenant: string, options: AdminOptions) => {
      const api = await adminApi(options, io);
      const answer = await api.json(`${await tenantPath(api, tenant)}/keys`, keyListSchema);
      io.result(answer, answer.keys.map(describeKey).join("\n") || "No keys yet.");
    });
  withAdmin(keys.command("create"))
    .description("make a key; its secret is shown this once")
    .argument("<tenant>", "id or name")
    .requiredOption("--name <name>", "what it is for")
    .option("--scope <scope...>", "read, submit, infer, admin", ["read", "submit"])
    .option("--days <n>", "days after which it expires (default: never)", wholeNumber(1))
    .option("--out <file>", OUT)
    .action((tenant: string, options: CreateOptions) => {
      const { name, scope: scopes, days } = options;
      return make(tenant, "", { name, scopes, ...(days !== undefined && { days }) }, options, io);
    });
  withAdmin(keys.command("rotate"))
    .description("make a key in the place of another, which still works for a while")
    .argument("<tenant>", "id or name")
    .argument("<key>", "the id of the old one")
    .option("--overlap-hours <n>", "how long both work", numberBetween(0, 720), 24)
    .option("--out <file>", OUT)
    .action((tenant: string, key: string, options: OutOptions & { overlapHours: number }) => {
      const overlapSeconds = Math.round(options.overlapHours * 3600);
      return make(tenant, `/${encodeURIComponent(key)}/rotate`, { overlapSeconds }, options, io);
    });
  withAdmin(keys.command("revoke"))
    .description("make a key dead at once")
    .argument("<tenant>", "id or name")
    .argument("<key>", "its id")
    .option("--force", "also if it is the last that administers the tenant")
    .action(async (tenant: string, key: string, options: AdminOptions & { force?: boolean }) => {
      const api = await adminApi(options, io);
      const query = options.force ? "?force=true" : "";
      const path = `${await tenantPath(api, tenant)}/keys/${encodeURIComponent(key)}${query}`;
      await (await api.request(path, { method: "DELETE" })).body?.cancel();
      io.result({ id: key, revoked: true }, `${key} is revoked.`);
    });
}

async function make(
  tenant: string,
  path: string,
  body: object,
  { out, ...options }: OutOptions,
  io: Io,
): Promise<void> {
  const api = await adminApi(options, io);
  const target = `${await tenantPath(api, tenant)}/keys${path}`;
  // Before there is a secret to lose.
  if (out !== undefined) await createFile(out);
  const { id, key, expires } = await api.json(target, newKeySchema, sending("POST", body));
  if (out !== undefined) await writeFile(out, `${key}\n`);
  const where = out === undefined ? { key } : { out };
  const until = expires === null ? "" : `, until ${expires}`;
  io.result({ id, expires, ...where }, `${id}${until}: ${out === undefined ? key : `its secret is in ${out}`}`);
}

async function createFile(path: string): Promise<void> {
  await writeFile(path, "", { flag: "wx", mode: 0o600 }).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === "EEXIST" ? "is there already" : `can't be written (${cause.code})`;
    throw new ProblemError("The key is not made", `--out ${path} ${why}.`, { cause });
  });
}

function describeKey({ id, name, scopes, created, expires, lastUsed, revoked }: KeyRecord): string {
  const dead = expires !== null && Date.parse(expires) <= Date.now();
  const end = revoked
    ? `revoked ${revoked}`
    : expires
      ? `${dead ? "expired" : "expires"} ${expires}`
      : "does not expire";
  return `${id}: ${name} (${scopes.join(", ")}), made ${created}, last used ${lastUsed ?? "never"}, ${end}`;
}
