import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { BATCH_EVENTS, batchEventSchema } from "../../shared/protocol/batch-event.ts";
import { parseJobId } from "../../shared/protocol/ids.ts";
import type { App } from "../http/app-env.ts";
import { checkEventsSecret } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { reconcile } from "../transfers/reconcile.ts";
import { problems } from "./route.ts";

/** A job's name. */
const MAX_EVENT_BYTES = 1024;

const postEvent = createRoute({
  operationId: "reportBatchEvent",
  tags: ["Internal"],
  method: "post",
  path: BATCH_EVENTS.path,
  summary: "AWS's word that a job started or ended",
  description:
    "Only a hint: what became of the job, Batch and the bucket are asked. So an event may come late, twice, out of order or never.",
  middleware: [limitBody(MAX_EVENT_BYTES)],
  request: {
    headers: z.object({ [BATCH_EVENTS.header]: z.string().optional() }),
    body: { required: true, content: { "application/json": { schema: batchEventSchema } } },
  },
  responses: { 204: { description: "It was looked into." }, ...problems },
});

export function addBatchRoutes(app: App): void {
  app.openapi(postEvent, async (c) => {
    await checkEventsSecret(c.env, c.req.header(BATCH_EVENTS.header));
    const ids = parseJobId(c.req.valid("json").job);
    // The queue may have jobs that no client submitted.
    if (ids) await reconcile(c.env, ids.tenant);
    return c.body(null, 204);
  });
}
