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
import { file, fileHeaders, json, problems, secured } from "./route.ts";

const PAGE = 100;
/** Proxies close connections that are silent for 30 to 100 seconds. */
const HEARTBEAT_MS = 15_000;

const idSchema = z.string().regex(ID_PATTERN, "Is no transfer's id.");
const params = z.object({ id: idSchema });
const shared = { security: secured, middleware: [tenantWith("read")] };

const eventSchema = z
  .object({
    event: z.literal("transfer"),
    id: z.string().describe("The transfer's version, for Last-Event-ID."),
    data: z.string().meta({
      description: "The transfer as JSON.",
      contentMediaType: "application/json",
      contentSchema: { $ref: "#/components/schemas/Transfer" },
    }),
  })
  .meta({ id: "TransferEvent", description: "A server-sent event, by its fields." });

const listTransfers = createRoute({
  operationId: "listTransfers",
  tags: ["Transfers"],
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
  operationId: "getTransfer",
  tags: ["Transfers"],
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}",
  summary: "State, progress, losses and cost",
  request: { params },
  responses: { 200: json(transferSchema, "The transfer."), ...problems },
});

const getEvents = createRoute({
  operationId: "followTransfer",
  tags: ["Transfers"],
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}/events",
  summary: "The transfer at every change, as server-sent events, until it has finished",
  request: {
    params,
    headers: z.object({
      "last-event-id": z.coerce
        .number<string>()
        .int()
        .optional()
        .describe("Only changes after this version are wanted."),
    }),
  },
  responses: {
    200: { description: "The events.", content: { "text/event-stream": { schema: z.array(eventSchema) } } },
    204: { description: "The client has seen the end: Last-Event-ID is the finished transfer's version." },
    ...problems,
  },
});

const deleteTransfer = createRoute({
  operationId: "cancelTransfer",
  tags: ["Transfers"],
  ...shared,
  middleware: [tenantWith("submit")],
  method: "delete",
  path: "/v1/transfers/{id}",
  summary: "Cancel; what was computed is charged, the rest refunded, and the prompt stays released",
  description: "A transfer whose result is there already stays done, and is paid for.",
  request: { params },
  responses: { 202: json(transferSchema, "It is cancelled, or will be."), ...problems },
});

const getPromptFile = createRoute({
  operationId: "downloadPromptFile",
  tags: ["Transfers"],
  ...shared,
  method: "get",
  path: "/v1/transfers/{id}/prompt/{file}",
  summary: "A file of the transferred prompt's PEFT folder",
  request: { params: params.extend({ file: nameSchema }), headers: fileHeaders },
  responses: { ...file, ...problems },
});

export function addTransferRoutes(app: App): void {
  app.openapi(listTransfers, async (c) => {
    const transfers = await ledgerOf(c.env, c.get("tenant")).list(PAGE, c.req.valid("query").before);
    if (transfers === null) {
      const faults = [{ at: "query#/before", message: "Is none of your transfers." }];
      throw new ProblemError("The request is not valid", "The page after an unknown transfer isn't known.", { faults });
    }
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
    const { transfer } = found(await ledger.get(id));
    // The event stream's way to say that there is nothing to come back for.
    if (isFinal(transfer.state) && transfer.version <= version) return c.body(null, 204);
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
    const { id, file: name } = c.req.valid("param");
    const tenant = c.get("tenant");
    const { transfer } = found(await ledgerOf(c.env, tenant).get(id));
    const record = transfer.files.find((candidate) => candidate.name === name);
    if (!record) {
      const detail =
        transfer.state === "succeeded" ? `It has no file ${name}.` : `It is ${transfer.state}, not succeeded.`;
      throw new ProblemError("Not found", detail, { status: transfer.state === "succeeded" ? 404 : 409 });
    }
    return sendObject(c, bucket.job(jobId(tenant, id)) + jobFiles.output + name, record);
  });
}

/** @throws ProblemError (404) */
function found<T>(value: T | null): T {
  if (value === null) throw new ProblemError("Not found", "There is no such transfer.", { status: 404 });
  return value;
}
