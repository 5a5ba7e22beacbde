import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJobId } from "../../shared/protocol/ids.ts";
import { jobEventSchema } from "../../shared/protocol/job.ts";
import type { App } from "../http/app-env.ts";
import { checkJobToken, ledgerOf } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { fail, settle } from "../transfers/dispatch.ts";
import { problems, secured } from "./route.ts";

/** An event is a few numbers and a message of at most a thousand characters. */
const MAX_EVENT_BYTES = 8 * 1024;

const postEvent = createRoute({
  operationId: "reportJob",
  tags: ["Internal"],
  method: "post",
  path: "/internal/jobs/{job}/events",
  summary: "A job's own report, with its own token",
  security: secured,
  middleware: [limitBody(MAX_EVENT_BYTES)],
  request: {
    params: z.object({ job: z.string() }),
    body: { required: true, content: { "application/json": { schema: jobEventSchema } } },
  },
  responses: { 204: { description: "It is noted, or was before." }, ...problems },
});

export function addJobRoutes(app: App): void {
  app.openapi(postEvent, async (c) => {
    const { job } = c.req.valid("param");
    const ids = parseJobId(job);
    if (!ids) throw new ProblemError("Not found", "There is no such job.", { status: 404 });
    await checkJobToken(c.env, job, c.req.header("authorization"));
    const { tenant, transfer } = ids;
    const event = c.req.valid("json");
    const ledger = ledgerOf(c.env, tenant);
    await ledger.report(transfer, event);
    if (event.state === "succeeded") await settle(c.env, tenant, transfer, event.runner);
    if (event.state === "failed") {
      await fail(c.env, tenant, transfer, event.problem ?? "The job failed.", event.runner);
    }
    return c.body(null, 204);
  });
}
