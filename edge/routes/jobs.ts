import { createRoute } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJobId } from "../../shared/protocol/ids.ts";
import { jobEventSchema } from "../../shared/protocol/job.ts";
import { JOB_PROTOCOL, VERSION_HEADER, versionFault } from "../../shared/protocol/job-version.ts";
import type { App, AppEnv } from "../http/app-env.ts";
import { checkJobToken, ledgerOf } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { fail, settle } from "../transfers/dispatch.ts";
import { problems, secured } from "./route.ts";

/** An event is a few numbers and a message of at most a thousand characters. */
const MAX_EVENT_BYTES = 8 * 1024;

/** Ends the transfer of a job whose reports this release doesn't know, before they are read. */
const checkVersion = createMiddleware<AppEnv>(async (c, next) => {
  const fault = versionFault(Number(c.req.header(VERSION_HEADER) ?? JOB_PROTOCOL), "report");
  if (fault === undefined) return next();
  const job = c.req.param("job") ?? "";
  const ids = needIds(job);
  await checkJobToken(c.env, job, c.req.header("authorization"));
  await fail(c.env, ids.tenant, ids.transfer, fault);
  throw new ProblemError("The job is of another release", fault, { status: 409 });
});

const postEvent = createRoute({
  operationId: "reportJob",
  tags: ["Internal"],
  method: "post",
  path: "/internal/jobs/{job}/events",
  summary: "A job's own report, with its own token",
  security: secured,
  middleware: [checkVersion, limitBody(MAX_EVENT_BYTES)],
  request: {
    params: z.object({ job: z.string() }),
    body: { required: true, content: { "application/json": { schema: jobEventSchema } } },
  },
  responses: { 204: { description: "It is noted, or was before." }, ...problems },
});

export function addJobRoutes(app: App): void {
  app.openapi(postEvent, async (c) => {
    const { job } = c.req.valid("param");
    const { tenant, transfer } = needIds(job);
    await checkJobToken(c.env, job, c.req.header("authorization"));
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

/** @throws ProblemError (404) */
function needIds(job: string): { tenant: string; transfer: string } {
  const ids = parseJobId(job);
  if (!ids) throw new ProblemError("Not found", "There is no such job.", { status: 404 });
  return ids;
}
