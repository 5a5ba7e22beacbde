import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN, jobId } from "../../shared/protocol/ids.ts";
import { MAX_PREDICTION_BYTES, predictionSchema } from "../../shared/protocol/prediction.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { HEARTBEAT_MS, sendChanges } from "../http/send-changes.ts";
import { sendObject } from "../http/send-object.ts";
import { isFinal } from "../ledger/decide.ts";
import { requestCancel } from "../transfers/dispatch.ts";
import { file, fileHeaders, json, onceHeaders, problems, secured } from "./route.ts";
import { findPrediction, noPrediction, submitPrediction } from "./submit-prediction.ts";
import { requireFiles } from "./transfer.ts";

const PAGE = 100;
const params = z.object({ id: z.string().regex(ID_PATTERN, "Is no prediction's id.") });
const shared = { tags: ["Inference"], security: secured, middleware: [tenantWith("infer")] };

const postPrediction = createRoute({
  operationId: "submitPrediction",
  ...shared,
  method: "post",
  path: "/v1/predictions",
  summary: "Labels or answers for a file of texts, made by a job",
  description: `The body is JSONL, rows of {"text"}, of at most ${MAX_PREDICTION_BYTES} bytes. It costs device seconds, as a transfer does. The texts are removed when the job has ended.`,
  request: {
    query: z.object({ model: z.string().max(256).describe("TARGET:TRANSFER_ID or an alias.") }),
    headers: onceHeaders,
    body: {
      required: true,
      content: { "application/jsonl": { schema: { type: "string" as const }, example: '{"text": "What a film!"}\n' } },
    },
  },
  responses: { 202: json(predictionSchema, "It is accepted."), ...problems },
});

const listPredictions = createRoute({
  operationId: "listPredictions",
  ...shared,
  method: "get",
  path: "/v1/predictions",
  summary: "The tenant's predictions, newest first",
  responses: { 200: json(z.object({ predictions: z.array(predictionSchema) }), `The newest ${PAGE}.`), ...problems },
});

const getPrediction = createRoute({
  operationId: "getPrediction",
  ...shared,
  method: "get",
  path: "/v1/predictions/{id}",
  summary: "State, progress and cost",
  request: { params },
  responses: { 200: json(predictionSchema, "The prediction."), ...problems },
});

const getEvents = createRoute({
  operationId: "followPrediction",
  ...shared,
  method: "get",
  path: "/v1/predictions/{id}/events",
  summary: "The prediction at every change, as server-sent events, until it has finished",
  request: { params, headers: z.object({ "last-event-id": z.coerce.number<string>().int().optional() }) },
  responses: {
    200: { description: "The events.", content: { "text/event-stream": { schema: { type: "string" as const } } } },
    204: { description: "The client has seen the end." },
    ...problems,
  },
});

const deletePrediction = createRoute({
  operationId: "cancelPrediction",
  ...shared,
  method: "delete",
  path: "/v1/predictions/{id}",
  summary: "Cancel; what was computed is charged",
  request: { params },
  responses: { 202: json(predictionSchema, "It is cancelled, or will be."), ...problems },
});

const getFile = createRoute({
  operationId: "downloadPredictions",
  ...shared,
  method: "get",
  path: "/v1/predictions/{id}/files/{file}",
  summary: "A file of the result: predictions.jsonl has a row for every text",
  request: { params: params.extend({ file: nameSchema }), headers: fileHeaders },
  responses: { ...file, ...problems },
});

export function addPredictionRoutes(app: App): void {
  app.openapi(postPrediction, async (c) => {
    const tenant = c.get("tenant");
    const { model } = c.req.valid("query");
    const idempotencyKey = c.req.valid("header")["idempotency-key"];
    return c.json(await submitPrediction(c.env, tenant, { model, idempotencyKey, request: c.req.raw }), 202);
  });

  app.openapi(listPredictions, async (c) => {
    return c.json({ predictions: await ledgerOf(c.env, c.get("tenant")).predictions(PAGE) }, 200);
  });

  app.openapi(getPrediction, async (c) => {
    return c.json(await findPrediction(c.env, c.get("tenant"), c.req.valid("param").id), 200);
  });

  app.openapi(getEvents, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const version = c.req.valid("header")["last-event-id"] ?? 0;
    const now = await findPrediction(c.env, tenant, id);
    if (isFinal(now.state) && now.version <= version) return c.body(null, 204);
    return sendChanges(c, "prediction", version, async (after) => {
      await ledgerOf(c.env, tenant).next(id, after, HEARTBEAT_MS);
      return findPrediction(c.env, tenant, id);
    });
  });

  app.openapi(deletePrediction, async (c) => {
    const { id } = c.req.valid("param");
    await findPrediction(c.env, c.get("tenant"), id);
    await requestCancel(c.env, c.get("tenant"), id);
    return c.json(await findPrediction(c.env, c.get("tenant"), id), 202);
  });

  app.openapi(getFile, async (c) => {
    const { id, file: name } = c.req.valid("param");
    const tenant = c.get("tenant");
    const found = await ledgerOf(c.env, tenant).get(id);
    if (found?.kind !== "predict") throw noPrediction();
    requireFiles(found.transfer);
    const record = found.transfer.files.find((each) => each.name === name);
    if (!record) throw new ProblemError("Not found", `It has no file ${name}.`, { status: 404 });
    const folder = bucket.job(jobId(tenant, id)) + jobFiles.output + found.folder;
    return sendObject(c, folder + name, record);
  });
}
