import { MICROS, type Standing, type TenantRecord } from "../../shared/protocol/administration.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import type { Account } from "../ledger/desk.ts";

/** A tenant as its provider sees it; undefined if its account isn't open. */
export async function findTenant(env: Env, id: string): Promise<TenantRecord | undefined> {
  const account = await ledgerOf(env, id).account();
  if (!account) return undefined;
  const { name, created, suspended, retentionDays, limits } = account;
  const standing = standingOf(account, env.CURRENCY);
  return { id, name, created: new Date(created).toISOString(), suspended, retentionDays, limits, standing };
}

function standingOf({ limits, usage, reserved }: Account, currency: string): Standing {
  const part = (limit: number, total: number, held: number, scale = 1) => ({
    limit: limit / scale,
    used: (total - held) / scale,
    reserved: held / scale,
    left: (limit - total) / scale,
  });
  const count = (limit: number, used: number) => ({ limit, used, left: limit - used });
  return {
    currency,
    money: part(limits.micros, usage.micros, reserved.micros, MICROS),
    deviceSeconds: part(limits.deviceSeconds, usage.deviceSeconds, reserved.deviceSeconds),
    virtualTokens: part(limits.virtualTokens, usage.virtualTokens, reserved.virtualTokens),
    concurrent: count(limits.concurrent, usage.concurrent),
    daily: count(limits.daily, usage.daily),
  };
}

/** What of a tenant's limits is below what it uses, and what that means. */
export function belowUse({ standing }: TenantRecord): { budget: string; message: string }[] {
  const { currency, money, deviceSeconds, virtualTokens, concurrent, daily } = standing;
  const named = { money, deviceSeconds, virtualTokens, concurrent, daily };
  return Object.entries(named).flatMap(([budget, { limit, left }]) => {
    const unit = budget === "money" ? ` ${currency}` : "";
    const message = `The limit of ${budget} is ${limit}${unit}, and ${limit - left}${unit} are spent or reserved. What runs goes on; nothing new is taken.`;
    return left < 0 ? [{ budget, message }] : [];
  });
}
