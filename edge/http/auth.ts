import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { formatApiKey, parseApiKey } from "../../shared/protocol/api-key.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, randomId } from "../../shared/protocol/ids.ts";
import type { Env } from "../env.ts";
import type { RateStanding } from "../ledger/rate-limit.ts";
import { REGISTER } from "../ledger/register.ts";
import type { AppEnv } from "./app-env.ts";
import { equalBytes, keyedHash, randomSecret } from "./secrets.ts";

export const scopes = ["read", "submit", "infer", "admin"] as const;
export type Scope = (typeof scopes)[number];

/** Lets through who has a key with the scope; sets `tenant`. */
export function tenantWith(scope: Scope) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const { tenant, key, hash } = await readKey(c.env, bearer(c.req.header("authorization")));
    const ledger = ledgerOf(c.env, tenant);
    const answer = await ledger.authenticate(key, hash);
    if (answer.kind === "unknown") throw unauthorized("The API key is not known or was revoked.");
    if (answer.kind === "expired") {
      throw unauthorized(`The API key expired on ${new Date(answer.expires).toISOString()}; use its successor.`);
    }
    if (answer.kind === "suspended") {
      const detail = "The account is suspended; its provider can say why. What is under way is finished.";
      throw new ProblemError("Not allowed", detail, { status: 403 });
    }
    if (answer.kind === "limited") throw tooMany(c, answer.standing);
    if (!answer.scopes.includes(scope)) {
      throw new ProblemError("Not allowed", `The API key lacks the scope "${scope}".`, { status: 403 });
    }
    c.set("tenant", tenant);
    c.set("key", key);
    await next();
    for (const [name, value] of rateHeaders(answer.standing)) c.res.headers.set(name, value);
  });
}

/** A tenant's rate limit is passed: its headers are set, and this is to be thrown. */
export function tooMany(c: Context<AppEnv>, standing: RateStanding): ProblemError {
  for (const [name, value] of rateHeaders(standing)) c.header(name, value);
  const detail = "This tenant sends more than its rate limit allows; wait a moment.";
  return new ProblemError("Too many requests", detail, { status: 429, retryAfter: standing.retryAfter });
}

/** Where a tenant stands, as draft-ietf-httpapi-ratelimit-headers-10 writes it. */
function rateHeaders({ limit, window, remaining, reset }: RateStanding): [string, string][] {
  return [
    ["ratelimit-policy", `"tenant";q=${limit};w=${window}`],
    ["ratelimit", `"tenant";r=${remaining};t=${reset}`],
  ];
}

/** Lets through the provider's administrator. */
export const providerOnly = createMiddleware<AppEnv>(async (c, next) => {
  if (!(await isProvider(c.env, c.req.header("authorization")))) throw unauthorized("The admin secret is wrong.");
  await next();
});

/** Lets through the provider, and a tenant's own admin key for that tenant. */
export const providerOrTenantAdmin = createMiddleware<AppEnv>(async (c, next) => {
  if (await isProvider(c.env, c.req.header("authorization"))) return next();
  const own = createMiddleware<AppEnv>(async (c, next) => {
    if (c.get("tenant") !== c.req.param("tenant")) {
      throw new ProblemError("Not allowed", "An admin key administers its own tenant only.", { status: 403 });
    }
    await next();
  });
  return tenantWith("admin")(c, async () => {
    await own(c, next);
  });
});

/** Who asks, for the audit log. */
export function actorOf(c: Context<AppEnv>): string {
  return c.get("key") ?? "provider";
}

export function ledgerOf(env: Env, tenant: string) {
  return env.TENANTS.get(env.TENANTS.idFromName(tenant));
}

/** The list of tenants that may have something under way. */
export function registerOf(env: Env) {
  return env.REGISTER.get(env.REGISTER.idFromName(REGISTER));
}

/** A new API key: the text, which is shown once, and what is kept of it. */
export async function createKey(env: Env, tenant: string) {
  const id = randomId(ID_LENGTH);
  const key = formatApiKey({ tenant, id }, randomSecret());
  return { id, key, hash: await keyedHash(env.PEPPER, `key:${key}`) };
}

/** The token with which one job reports about itself. It is derived, so it is stored nowhere but in the job's spec. */
export function jobToken(env: Env, job: string): Promise<string> {
  return keyedHash(env.PEPPER, `job:${job}`);
}

/** @throws ProblemError unless the header carries the job's token */
export async function checkJobToken(env: Env, job: string, header: string | undefined): Promise<void> {
  if (!equalBytes(bearer(header), await jobToken(env, job))) throw unauthorized("The job token is wrong.");
}

/** @throws ProblemError unless the header carries the secret of AWS's events */
export async function checkEventsSecret(env: Env, header: string | undefined): Promise<void> {
  const right = env.EVENTS_SECRET !== undefined && (await sameSecret(env, header ?? "", env.EVENTS_SECRET));
  if (!right) throw unauthorized("The secret of the events is wrong.");
}

function isProvider(env: Env, header: string | undefined): Promise<boolean> {
  return sameSecret(env, bearer(header), env.ADMIN_SECRET);
}

/** Hashing both makes them equally long, so that the comparison tells nothing about the secret's length. */
async function sameSecret(env: Env, given: string, right: string): Promise<boolean> {
  const [a, b] = await Promise.all([
    keyedHash(env.PEPPER, `secret:${given}`),
    keyedHash(env.PEPPER, `secret:${right}`),
  ]);
  return equalBytes(a, b);
}

async function readKey(env: Env, key: string) {
  const parts = parseApiKey(key);
  if (!parts) throw unauthorized("The API key has not the form sp_….");
  const { tenant, id } = parts;
  return { tenant, key: id, hash: await keyedHash(env.PEPPER, `key:${key}`) };
}

function bearer(header: string | undefined): string {
  const [scheme, token, ...rest] = (header ?? "").split(" ");
  if (scheme?.toLowerCase() !== "bearer" || !token || rest.length > 0) {
    throw unauthorized("Send the header Authorization: Bearer KEY.");
  }
  return token;
}

function unauthorized(detail: string): ProblemError {
  return new ProblemError("Not authenticated", detail, { status: 401 });
}
