import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { ID_LENGTH, randomId } from "../../../shared/protocol/ids.ts";
import {
  deliverySchema,
  MAX_WEBHOOKS,
  madeWebhookSchema,
  newWebhookSchema,
  notificationSchema,
  webhookSchema,
} from "../../../shared/protocol/webhook.ts";
import type { App } from "../../http/app-env.ts";
import { actorOf } from "../../http/auth.ts";
import { checkAddress } from "../../webhooks/address.ts";
import { describeSchema, json, problems } from "../route.ts";
import { body, deskOf, owner, tenantParams } from "./shared.ts";

const PAGE = 100;
const SECRET_BYTES = 32;

const path = "/v1/admin/tenants/{tenant}/webhooks" as const;
const hookParams = tenantParams.extend({ webhook: z.string() });

const listWebhooks = createRoute({
  operationId: "listWebhooks",
  ...owner,
  method: "get",
  path,
  summary: "Where a tenant is told what happens",
  request: { params: tenantParams },
  responses: { 200: json(z.object({ webhooks: z.array(webhookSchema) }), "The webhooks."), ...problems },
});

const postWebhook = createRoute({
  operationId: "createWebhook",
  ...owner,
  method: "post",
  path,
  summary: "Be told what happens: transfers that end, and budgets that are reached",
  description:
    "A `Notification` is sent by POST, signed by Standard Webhooks' scheme (https://www.standardwebhooks.com): check the signature, refuse a time more than five minutes off and an id that was seen, and answer 2xx within ten seconds. Until then it is sent again for a day, after 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 7 h and 9 h.",
  request: { params: tenantParams, body: body(newWebhookSchema) },
  responses: { 201: json(madeWebhookSchema, "The webhook, with its secret."), ...problems },
});

const deleteWebhook = createRoute({
  operationId: "deleteWebhook",
  ...owner,
  method: "delete",
  path: `${path}/{webhook}`,
  summary: "Be told no more; what was not delivered is dropped",
  request: { params: hookParams },
  responses: { 204: { description: "It is gone." }, ...problems },
});

const listDeliveries = createRoute({
  operationId: "listDeliveries",
  ...owner,
  method: "get",
  path: `${path}/{webhook}/deliveries`,
  summary: "What was delivered and what is to be, with the last answers, newest first",
  request: { params: hookParams },
  responses: { 200: json(z.object({ deliveries: z.array(deliverySchema) }), `At most ${PAGE}.`), ...problems },
});

const postRedelivery = createRoute({
  operationId: "redeliver",
  ...owner,
  method: "post",
  path: `${path}/{webhook}/deliveries/{delivery}/redeliver`,
  summary: "Send a delivery once more, under its old id",
  request: { params: hookParams.extend({ delivery: z.string() }) },
  responses: { 202: { description: "It will be." }, ...problems },
});

export function addWebhookRoutes(app: App): void {
  describeSchema(app, "Notification", notificationSchema);

  app.openapi(listWebhooks, async (c) => {
    const desk = await deskOf(c.env, c.req.valid("param").tenant);
    return c.json({ webhooks: await desk.webhooks() }, 200);
  });

  app.openapi(postWebhook, async (c) => {
    const desk = await deskOf(c.env, c.req.valid("param").tenant);
    const { url, events } = c.req.valid("json");
    await checkAddress(url, c.env);
    const id = randomId(ID_LENGTH);
    const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    const secret = `whsec_${btoa(String.fromCharCode(...bytes))}`;
    if (!(await desk.addWebhook({ id, url, events, secret }, actorOf(c)))) {
      const detail = `An account has at most ${MAX_WEBHOOKS}; delete one first.`;
      throw new ProblemError("The webhook is not made", detail, { status: 409 });
    }
    return c.json({ id, url, events, created: new Date().toISOString(), secret }, 201);
  });

  app.openapi(deleteWebhook, async (c) => {
    const { tenant, webhook } = c.req.valid("param");
    if (!(await (await deskOf(c.env, tenant)).removeWebhook(webhook, actorOf(c)))) throw missing("webhook");
    return c.body(null, 204);
  });

  app.openapi(listDeliveries, async (c) => {
    const { tenant, webhook } = c.req.valid("param");
    const desk = await deskOf(c.env, tenant);
    if (!(await desk.webhooks()).some(({ id }) => id === webhook)) throw missing("webhook");
    return c.json({ deliveries: await desk.deliveries(webhook, PAGE) }, 200);
  });

  app.openapi(postRedelivery, async (c) => {
    const { tenant, webhook, delivery } = c.req.valid("param");
    if (!(await (await deskOf(c.env, tenant)).redeliver(webhook, delivery))) throw missing("delivery");
    return c.body(null, 202);
  });
}

function missing(what: string): ProblemError {
  return new ProblemError("Not found", `There is no such ${what}.`, { status: 404 });
}
