import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { daysSchema, keyListSchema, labelSchema, newKeySchema } from "../../../shared/protocol/administration.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import type { App } from "../../http/app-env.ts";
import { actorOf, createKey, scopes } from "../../http/auth.ts";
import { isoTime } from "../../ledger/times.ts";
import { json, problems } from "../route.ts";
import { body, deskOf, owner, tenantParams } from "./shared.ts";

const DAY_MS = 86_400_000;
/** Time to bring a new key to every machine that has the old one. */
const OVERLAP_SECONDS = 86_400;
const MAX_OVERLAP_SECONDS = 30 * OVERLAP_SECONDS;

const path = "/v1/admin/tenants/{tenant}/keys" as const;
const keyParams = tenantParams.extend({ key: z.string() });

const listKeys = createRoute({
  operationId: "listKeys",
  ...owner,
  method: "get",
  path,
  summary: "A tenant's keys, without their secrets",
  request: { params: tenantParams },
  responses: { 200: json(keyListSchema, "The keys."), ...problems },
});

const postKey = createRoute({
  operationId: "createKey",
  ...owner,
  method: "post",
  path,
  summary: "Make a key; the answer is the only place where it is ever shown",
  request: {
    params: tenantParams,
    body: body(
      z
        .strictObject({
          name: labelSchema,
          scopes: z.array(z.enum(scopes)).min(1),
          days: daysSchema.optional().describe("After so many it expires; without it, never."),
        })
        .meta({ examples: [{ name: "training cluster", scopes: ["read", "submit"], days: 365 }] }),
    ),
  },
  responses: { 201: json(newKeySchema, "The key."), ...problems },
});

const rotateKey = createRoute({
  operationId: "rotateKey",
  ...owner,
  method: "post",
  path: `${path}/{key}/rotate`,
  summary: "Make a key in the place of another, which still works for a while",
  description: "The new one has the name, the scopes and the length of life of the old one.",
  request: {
    params: keyParams,
    body: body(
      z
        .strictObject({
          overlapSeconds: z
            .int()
            .min(0)
            .max(MAX_OVERLAP_SECONDS)
            .default(OVERLAP_SECONDS)
            .describe("How long both work."),
        })
        .meta({ examples: [{ overlapSeconds: 3600 }] }),
    ),
  },
  responses: { 201: json(newKeySchema, "The new key."), ...problems },
});

const deleteKey = createRoute({
  operationId: "revokeKey",
  ...owner,
  method: "delete",
  path: `${path}/{key}`,
  summary: "Revoke a key: it is dead at once",
  request: {
    params: keyParams,
    query: z.object({
      force: z.enum(["true", "false"]).default("false").describe("Also if it is the last that administers the tenant."),
    }),
  },
  responses: { 204: { description: "It is revoked." }, ...problems },
});

export function addKeyRoutes(app: App): void {
  app.openapi(listKeys, async (c) => {
    const desk = await deskOf(c.env, c.req.valid("param").tenant);
    return c.json({ keys: await desk.keys() }, 200);
  });

  app.openapi(postKey, async (c) => {
    const { tenant } = c.req.valid("param");
    const desk = await deskOf(c.env, tenant);
    const { name, scopes, days } = c.req.valid("json");
    const { id, key, hash } = await createKey(c.env, tenant);
    const expires = days === undefined ? null : Date.now() + days * DAY_MS;
    await desk.addKey({ id, hash }, name, scopes, expires, actorOf(c));
    return c.json({ id, key, expires: isoTime(expires) }, 201);
  });

  app.openapi(rotateKey, async (c) => {
    const { tenant, key: old } = c.req.valid("param");
    const desk = await deskOf(c.env, tenant);
    const { id, key, hash } = await createKey(c.env, tenant);
    const rotated = await desk.rotateKey(old, { id, hash }, c.req.valid("json").overlapSeconds, actorOf(c));
    if (!rotated) throw new ProblemError("Not found", "There is no such key, or it opens nothing.", { status: 404 });
    return c.json({ id, key, expires: isoTime(rotated.expires) }, 201);
  });

  app.openapi(deleteKey, async (c) => {
    const { tenant, key } = c.req.valid("param");
    const desk = await deskOf(c.env, tenant);
    const outcome = await desk.revokeKey(key, c.req.valid("query").force === "true", actorOf(c));
    if (outcome === "unknown") {
      throw new ProblemError("Not found", "There is no such key, or it is revoked already.", { status: 404 });
    }
    if (outcome === "last admin") {
      const detail =
        "It is the last key that administers the tenant. Make another first, or say that it is meant: force=true.";
      throw new ProblemError("The key is not revoked", detail, { status: 409 });
    }
    return c.body(null, 204);
  });
}
