import { createRoute } from "@hono/zod-openapi";
import { streamSSE } from "hono/streaming";
import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN, jobId } from "../../shared/protocol/ids.ts";
import { transferSchema } from "../../shared/protocol/transfer.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { sendObject } from "../http/send-object.ts";
import { isFinal } from "../ledger/decide.ts";
import { cancel } from "../transfers/dispatch.ts";
import { json, problems, secured } from "./route.ts";

const PAGE = 100;
/** Proxies close connections that are silent for 30 to 100 seconds. */
const HEARTBEAT_MS = 15_000;

const idSchema = z.string().regex(ID_PATTERN, "Is no transfer's id.");
const params = z.object({ id: idSchema });
const shared = { security: secured, middleware: [tenantWith("read")] };

const listTransfers = createRoute({
  ...shared,
  method: "get",
  path: "/v1/transfers",
  summary: "The tenant's transfers, newest first",
  request: { query: z.object({ before: idSchema.optional() }) },
  responses: {
    200: json(z.object({ transfers: z.array(transferSchema) }), `At most ${PAGE}; go on with before=id.`),
    ...problems,
  },
});

const getTransfer = createRoute({
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}",
  summary: "State, progress, losses and cost",
  request: { params },
  responses: { 200: json(transferSchema, "The transfer."), ...problems },
});

const getEvents = createRoute({
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}/events",
  summary: "The transfer at every change, as server-sent events, until it has finished",
  request: { params, headers: z.object({ "last-event-id": z.coerce.number<string>().int().optional() }) },
  responses: {
    200: { description: "The events.", content: { "text/event-stream": { schema: z.string() } } },
    ...problems,
  },
});

const deleteTransfer = createRoute({
  ...shared,
  middleware: [tenantWith("submit")],
  method: "delete",
  path: "/v1/transfers/{id}",
  summary: "Cancel; what was reserved is refunded, but the prompt stays released",
  request: { params },
  responses: { 202: json(transferSchema, "It is cancelled, or will be."), ...problems },
});

const getPromptFile = createRoute({
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}/prompt/{file}",
  summary: "A file of the transferred prompt's PEFT folder",
  request: { params: params.extend({ file: nameSchema }) },
  responses: {
    200: { description: "The file.", content: { "application/octet-stream": { schema: {} } } },
    ...problems,
  },
});

export function addTransferRoutes(app: App): void {
  app.openapi(listTransfers, async (c) => {
    const transfers = await ledgerOf(c.env, c.get("tenant")).list(PAGE, c.req.valid("query").before);
    return c.json({ transfers }, 200);
  });

  app.openapi(getTransfer, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(found(await ledgerOf(c.env, c.get("tenant")).get(id)).transfer, 200);
  });

  app.openapi(getEvents, async (c) => {
    const { id } = c.req.valid("param");
    const ledger = ledgerOf(c.env, c.get("tenant"));
    let version = c.req.valid("header")["last-event-id"] ?? 0;
    found(await ledger.get(id));
    return streamSSE(c, async (stream) => {
      while (!stream.aborted) {
        const transfer = found(await ledger.next(id, version, HEARTBEAT_MS));
        if (transfer.version > version) {
          await stream.writeSSE({ event: "transfer", id: String(transfer.version), data: JSON.stringify(transfer) });
        } else {
          await stream.write(": still here\n\n");
        }
        if (isFinal(transfer.state)) return;
        version = transfer.version;
      }
    });
  });

  app.openapi(deleteTransfer, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const ledger = ledgerOf(c.env, tenant);
    const transfer = found(await ledger.cancelling(id));
    const { batchJob } = found(await ledger.get(id));
    // Before it has a job, whoever is dispatching it at this moment sees the mark and stops it.
    const mine = !isFinal(transfer.state) && (batchJob !== null || (await ledger.lease(id)));
    return c.json(mine ? await cancel(c.env, tenant, transfer, batchJob) : transfer, 202);
  });

  app.openapi(getPromptFile, async (c) => {
    const { id, file } = c.req.valid("param");
    const tenant = c.get("tenant");
    const { transfer } = found(await ledgerOf(c.env, tenant).get(id));
    const record = transfer.files.find(({ name }) => name === file);
    if (!record) {
      const detail =
        transfer.state === "succeeded" ? `It has no file ${file}.` : `It is ${transfer.state}, not succeeded.`;
      throw new ProblemError("Not found", detail, { status: transfer.state === "succeeded" ? 404 : 409 });
    }
    return sendObject(c.env.PROMPTS, bucket.job(jobId(tenant, id)) + jobFiles.output + file, record, c.req.raw);
  });
}

/** @throws ProblemError (404) */
function found<T>(value: T | null): T {
  if (value === null) throw new ProblemError("Not found", "There is no such transfer.", { status: 404 });
  return value;
}
