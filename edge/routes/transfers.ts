import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import { transferPageSchema, transferSchema } from "../../shared/protocol/transfer.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { HEARTBEAT_MS, sendChanges } from "../http/send-changes.ts";
import { sendObject } from "../http/send-object.ts";
import { isFinal } from "../ledger/decide.ts";
import { file, fileHeaders, json, problems, secured } from "./route.ts";
import { found, idSchema, listQuery, pageOf, requireFiles } from "./transfer.ts";

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
  request: {
    query: listQuery,
  },
  responses: { 200: json(transferPageSchema, "A page."), ...problems },
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
    return c.json(await pageOf(c.env, c.get("tenant"), c.req.valid("query")), 200);
  });

  app.openapi(getTransfer, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(found(await ledgerOf(c.env, c.get("tenant")).get(id)).transfer, 200);
  });

  app.openapi(getEvents, async (c) => {
    const { id } = c.req.valid("param");
    const ledger = ledgerOf(c.env, c.get("tenant"));
    const version = c.req.valid("header")["last-event-id"] ?? 0;
    const { transfer } = found(await ledger.get(id));
    // The event stream's way to say that there is nothing to come back for.
    if (isFinal(transfer.state) && transfer.version <= version) return c.body(null, 204);
    return sendChanges(c, "transfer", version, async (after) => (await ledger.next(id, after, HEARTBEAT_MS))!);
  });

  app.openapi(getPromptFile, async (c) => {
    const { id, file: name } = c.req.valid("param");
    const tenant = c.get("tenant");
    const { transfer, folder: below } = found(await ledgerOf(c.env, tenant).get(id));
    requireFiles(transfer);
    const record = transfer.files.find((candidate) => candidate.name === name);
    if (!record) throw new ProblemError("Not found", `It has no file ${name}.`, { status: 404 });
    const folder = bucket.job(jobId(tenant, id)) + jobFiles.output + below;
    return sendObject(c, folder + name, record);
  });
}
