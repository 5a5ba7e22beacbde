import { type Command, InvalidArgumentError } from "commander";
import {
  type LimitedTenant,
  type LimitsChange,
  limitedTenantSchema,
  type TenantRecord,
  tenantSchema,
} from "../../shared/protocol/administration.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { sending } from "../api/transport.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { tenantPath } from "./find-tenant.ts";

/** Where only the privacy limit's epsilon is given, and none stands. */
const DELTA = 1e-5;

export interface LimitFlags {
  readonly money?: number;
  readonly deviceSeconds?: number;
  readonly virtualTokens?: number;
  readonly concurrent?: number;
  readonly daily?: number;
  /** False for `--no-privacy`. */
  readonly privacy?: boolean;
  readonly epsilon?: number;
  readonly delta?: number;
}

export function withLimits(command: Command): Command {
  return command
    .option("--money <x>", "money for all transfers, in the currency", numberBetween(0, 1e9))
    .option("--device-seconds <n>", "device seconds for them", wholeNumber(0))
    .option("--virtual-tokens <n>", "virtual tokens of all prompts", wholeNumber(0))
    .option("--concurrent <n>", "transfers at one time", wholeNumber(0))
    .option("--daily <n>", "transfers a day", wholeNumber(0))
    .option("--epsilon <e>", "privacy limit of each data set", positiveNumber)
    .option("--delta <d>", `delta of that limit (default: as it stands, else ${DELTA})`, delta)
    .option("--no-privacy", "no limit of privacy");
}

/** @param standing the privacy limit as it is */
export function limitsChange(flags: LimitFlags, standing: TenantRecord["limits"]["privacy"]): LimitsChange {
  const { money, deviceSeconds, virtualTokens, concurrent, daily } = flags;
  const given = Object.entries({ money, deviceSeconds, virtualTokens, concurrent, daily });
  return { ...Object.fromEntries(given.filter(([, value]) => value !== undefined)), ...privacyOf(flags, standing) };
}

function privacyOf({ privacy, epsilon, delta }: LimitFlags, standing: TenantRecord["limits"]["privacy"]): LimitsChange {
  if (privacy === false) {
    if (epsilon === undefined && delta === undefined) return { privacy: null };
    throw new ProblemError("The privacy limit is not clear", "--no-privacy goes without --epsilon and --delta.");
  }
  const [least, most] = [epsilon ?? standing?.epsilon, delta ?? standing?.delta ?? DELTA];
  if (epsilon === undefined && delta === undefined) return {};
  if (least !== undefined) return { privacy: { epsilon: least, delta: most } };
  throw new ProblemError("There is no privacy limit", "--delta is a part of one; give --epsilon too.");
}

/** `softpost admin limits`. */
export function registerLimits(admin: Command, io: Io): void {
  const limits = admin.command("limits").description("show or change what a tenant may use");
  withAdmin(limits.command("show"))
    .description("limits, with what is spent, reserved and left")
    .argument("<tenant>", "id or name")
    .action(async (tenant: string, options: AdminOptions) => {
      const api = await adminApi(options, io);
      const found = await api.json(await tenantPath(api, tenant), tenantSchema);
      io.result(found, describeTenant(found));
    });
  withLimits(withAdmin(limits.command("set")))
    .description("change the limits that are given; the others stay")
    .argument("<tenant>", "id or name")
    .action((tenant: string, options: AdminOptions & LimitFlags) => set(tenant, options, io));
}

async function set(tenant: string, options: AdminOptions & LimitFlags, io: Io): Promise<void> {
  const api = await adminApi(options, io);
  const path = await tenantPath(api, tenant);
  const before = await api.json(path, tenantSchema);
  const change = limitsChange(options, before.limits.privacy);
  const after: LimitedTenant = await api.json(`${path}/limits`, limitedTenantSchema, sending("PATCH", change));
  for (const { message } of after.below) io.message(message);
  io.result(after, describeTenant(after));
}

/** A tenant with its limits, a line each. */
export function describeTenant({ id, name, suspended, retentionDays, limits, standing }: TenantRecord): string {
  const { currency, money, deviceSeconds, virtualTokens, concurrent, daily } = standing;
  const part = (what: string, { limit, used, reserved, left }: typeof money) =>
    `  ${what}: ${used} spent, ${reserved} reserved, ${left} left of ${limit}`;
  const count = (what: string, { limit, used }: typeof daily) => `  ${what}: ${used} of ${limit}`;
  const { privacy } = limits;
  return [
    `${id}: ${name}${suspended ? " (suspended)" : ""}`,
    part(`money (${currency})`, money),
    part("device seconds", deviceSeconds),
    part("virtual tokens", virtualTokens),
    count("transfers at one time", concurrent),
    count("transfers today", daily),
    `  privacy: ${privacy === null ? "not limited" : `epsilon ${privacy.epsilon} at delta ${privacy.delta} for each data set`}`,
    `  finished transfers: ${retentionDays === null ? "kept" : `their files go after ${retentionDays} days`}`,
  ].join("\n");
}

function delta(text: string): number {
  const value = numberBetween(0, 1)(text);
  if (value === 0 || value === 1) throw new InvalidArgumentError("It must be a number between 0 and 1.");
  return value;
}
