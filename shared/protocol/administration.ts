import { z } from "zod";
import { type Limits, limitsSchema } from "./budget.ts";
import { type Fault, ProblemError } from "./errors.ts";

/** Amounts of money are kept in millionths of the currency, and written in the currency. */
export const MICROS = 1e6;
/** More than any bill, and little enough that its millionths are whole numbers. */
const MAX_MONEY = 1e9;

/** What a tenant has that is opened with a name only: enough to try, little enough to lose. */
export const DEFAULT_LIMITS: Limits = {
  micros: 100 * MICROS,
  deviceSeconds: 100_000,
  virtualTokens: 100_000,
  concurrent: 10,
  daily: 100,
  privacy: null,
};

export const labelSchema = z.string().min(1).max(100);
/** Ten years. */
const MAX_DAYS = 3650;
export const daysSchema = z.int().min(1).max(MAX_DAYS);

const moneySchema = z
  .number()
  .nonnegative()
  .max(MAX_MONEY)
  .refine((money) => Math.abs(money * MICROS - Math.round(money * MICROS)) < 1e-3, "Has more than six decimal places.");

/** Limits to change: those that are not named stay as they are. */
export const limitsChangeSchema = limitsSchema
  .partial()
  .extend({ money: moneySchema.optional().describe("In the currency; or `micros`, in millionths of it.") })
  .strict()
  .refine(({ money, micros }) => money === undefined || micros === undefined, "Names money and micros; one will do.")
  .meta({ id: "LimitsChange", examples: [{ money: 250, daily: 20 }] });

export type LimitsChange = z.output<typeof limitsChangeSchema>;

/** The limits with the change made. */
export function changedLimits(limits: Limits, { money, ...change }: LimitsChange): Limits {
  const named = Object.entries(change).filter(([, value]) => value !== undefined);
  const micros = money === undefined ? {} : { micros: Math.round(money * MICROS) };
  return { ...limits, ...Object.fromEntries(named), ...micros };
}

const standingPart = z.object({ limit: z.number(), used: z.number(), reserved: z.number(), left: z.number() });
const countPart = z.object({ limit: z.int(), used: z.int(), left: z.int() });

const standingSchema = z
  .object({
    currency: z.string(),
    money: standingPart.describe("In the currency. Left is negative where a limit was lowered below what is used."),
    deviceSeconds: standingPart,
    virtualTokens: standingPart,
    concurrent: countPart,
    daily: countPart,
  })
  .meta({ id: "Standing", description: "What a tenant has spent, reserved and left." });

export type Standing = z.output<typeof standingSchema>;

export const tenantSchema = z
  .object({
    id: z.string(),
    name: labelSchema,
    created: z.iso.datetime(),
    suspended: z.boolean().describe("Its keys open nothing; what is under way is finished."),
    retentionDays: daysSchema
      .nullable()
      .describe("Days after which the files of a finished transfer or prediction go; null: they stay."),
    limits: limitsSchema,
    standing: standingSchema,
  })
  .meta({
    id: "Tenant",
    examples: [
      {
        id: "k3v7q2m5x4a6b7c2",
        name: "Acme",
        created: "2026-11-30T09:00:00.000Z",
        suspended: false,
        retentionDays: 90,
        limits: DEFAULT_LIMITS,
        standing: {
          currency: "USD",
          money: { limit: 100, used: 12.5, reserved: 0.5, left: 87 },
          deviceSeconds: { limit: 100_000, used: 12_500, reserved: 500, left: 87_000 },
          virtualTokens: { limit: 100_000, used: 400, reserved: 20, left: 99_580 },
          concurrent: { limit: 10, used: 1, left: 9 },
          daily: { limit: 100, used: 3, left: 97 },
        },
      },
    ],
  });

export type TenantRecord = z.output<typeof tenantSchema>;

export const limitedTenantSchema = tenantSchema
  .extend({
    below: z
      .array(z.object({ budget: z.string(), message: z.string() }))
      .describe("Limits that are now below what is used: nothing new is taken until they are raised."),
  })
  .meta({ id: "LimitedTenant" });

export type LimitedTenant = z.output<typeof limitedTenantSchema>;

export const keyRecordSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()),
    created: z.iso.datetime(),
    expires: z.iso.datetime().nullable().describe("From then on it opens nothing; null: it stays."),
    lastUsed: z.iso.datetime().nullable().describe("To the minute; null: never, or not since uses are noted."),
    revoked: z.iso.datetime().nullable(),
  })
  .meta({
    id: "Key",
    examples: [
      {
        id: "b4c5d6e7f2a3b4c5",
        name: "training cluster",
        scopes: ["read", "submit"],
        created: "2026-11-30T09:00:00.000Z",
        expires: null,
        lastUsed: "2026-11-30T11:42:00.000Z",
        revoked: null,
      },
    ],
  });

export type KeyRecord = z.output<typeof keyRecordSchema>;

/** A tenant's keys. */
export const keyListSchema = z.object({ keys: z.array(keyRecordSchema) });

export const newKeySchema = z
  .object({
    id: z.string(),
    key: z.string().describe("The secret. It is shown nowhere else, and never again."),
    expires: z.iso.datetime().nullable(),
  })
  .meta({ id: "NewKey" });

export const monthSchema = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, "Is no month, such as 2026-11.");

export const usageRowSchema = z
  .object({
    month: monthSchema,
    tenant: z.string(),
    tenantName: z.string().nullable().describe("Null once the tenant's data was deleted."),
    key: z.string().nullable().describe("The key that asked for it; null for what earlier releases have written."),
    keyName: z.string().nullable(),
    kind: z.literal("transfer").describe("What was used."),
    model: z.string().describe("The student."),
    count: z.int().describe("Transfers that were paid for, in the month in which they ended."),
    refunded: z.int().describe("Transfers that failed, or were cancelled before anything was computed."),
    micros: z.int().describe("Millionths of the currency."),
    deviceSeconds: z.int(),
    virtualTokens: z.int(),
  })
  .meta({ id: "UsageRow" });

export type UsageRow = z.output<typeof usageRowSchema>;

export const usageSchema = z
  .object({ currency: z.string(), month: monthSchema, usage: z.array(usageRowSchema) })
  .meta({ id: "Usage" });

export const dailyUsageRowSchema = z
  .object({
    day: z.iso.date().describe("In UTC: on which transfers ended, and requests to models began."),
    transfers: z.int().describe("Those that were paid for."),
    deviceSeconds: z.number(),
    requests: z.int().describe("To models."),
    tokens: z.int().describe("Of requests and answers."),
    micros: z.int().describe("All of it, in millionths of the currency."),
  })
  .meta({ id: "DailyUsageRow" });

export type DailyUsageRow = z.output<typeof dailyUsageRowSchema>;

export const dailyUsageSchema = z
  .object({ currency: z.string(), month: monthSchema, days: z.array(dailyUsageRowSchema) })
  .meta({ id: "DailyUsage", description: "What a tenant used, on the days of a month on which it used something." });

export type DailyUsage = z.output<typeof dailyUsageSchema>;

export const auditEntrySchema = z
  .object({
    sequence: z.int(),
    at: z.iso.datetime(),
    actor: z.string().describe("`provider` (the admin secret), or the id of the tenant's key."),
    action: z.string(),
    target: z.string().describe("The id or name of what was changed."),
    detail: z.record(z.string(), z.unknown()).describe("Ids, numbers and times; no names and no secrets."),
  })
  .meta({
    id: "AuditEntry",
    examples: [
      {
        sequence: 7,
        at: "2026-11-30T09:00:00.000Z",
        actor: "provider",
        action: "limits.changed",
        target: "k3v7q2m5x4a6b7c2",
        detail: { from: { micros: 100_000_000 }, to: { micros: 250_000_000 } },
      },
    ],
  });

export type AuditEntry = z.output<typeof auditEntrySchema>;

/** @throws ProblemError (422) if a body names nothing to change */
export function requireChange(change: object): void {
  if (Object.values(change).some((value) => value !== undefined)) return;
  const faults: Fault[] = [{ at: "body#", message: "Names nothing to change." }];
  throw new ProblemError("The request is not valid", "There is nothing to change.", { status: 422, faults });
}
