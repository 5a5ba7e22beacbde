import { createMiddleware } from "hono/factory";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { elapsed } from "../ledger/times.ts";
import type { AppEnv } from "./app-env.ts";

/** Wrong keys that one address may send in a row, and how many a second after that: who mistypes is told so, who guesses isn't. */
const BURST = 20;
const PER_SECOND = 1;
/** Addresses that are remembered, some hundred kilobytes; the oldest are forgotten first. */
const MAX_ADDRESSES = 5000;

const failures = new Map<string, { left: number; at: number }>();

/**
 * Answers 429 in place of 401 to an address that has sent many requests without a valid key. Only those: behind one address there are many
 * clients (a company, or all programs of a machine), and none may lock out another. It counts in the memory of one Worker instance, and in
 * Cloudflare's rate limiter for all instances of a place: whoever passes that one's limit is stopped by each instance at his first failure there.
 */
export const limitStrangers = createMiddleware<AppEnv>(async (c, next) => {
  await next();
  if (c.res.status !== 401) return;
  const header = c.env.CLIENT_ADDRESS_HEADER;
  const address = (header && c.req.header(header)) || "";
  const counted = (await c.env.STRANGERS?.limit({ key: address })) ?? { success: true };
  const left = counted.success ? leftOf(address) - 1 : -1;
  failures.delete(address);
  failures.set(address, { left: Math.max(left, 0), at: Date.now() });
  if (failures.size > MAX_ADDRESSES) failures.delete(failures.keys().next().value!);
  if (left >= 0) return;
  const detail = "This address sent many requests without a valid key; wait a moment.";
  throw new ProblemError("Too many requests", detail, { status: 429 });
});

function leftOf(address: string): number {
  const entry = failures.get(address);
  return entry ? Math.min(BURST, entry.left + (elapsed(entry.at, Date.now()) / 1000) * PER_SECOND) : BURST;
}
