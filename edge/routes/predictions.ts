import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { nameSchema, type Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, ID_PATTERN, jobId, randomId } from "../../shared/protocol/ids.ts";
import type { PredictSpec } from "../../shared/protocol/job.ts";
import { MAX_PREDICTION_BYTES, type Prediction, predictionSchema } from "../../shared/protocol/prediction.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import type { Env } from "../env.ts";
import type { App } from "../http/app-env.ts";
import { jobToken, ledgerOf, registerOf, tenantWith } from "../http/auth.ts";
import { HEARTBEAT_MS, sendChanges } from "../http/send-changes.ts";
import { sendObject } from "../http/send-object.ts";
import { readManifest, storedFiles } from "../inference/manifests.ts";
import { type ResolvedModel, resolveModel } from "../inference/models.ts";
import { type StoredTexts, storeTexts } from "../inference/store-texts.ts";
import { budgetProblem, isFinal } from "../ledger/decide.ts";
import type { TransferredPrompt } from "../ledger/prompts.ts";
import type { Reserved, ReservedJob } from "../ledger/tenant.ts";
import { readCatalogue } from "../storage/catalogue.ts";
import { begin, isToBegin } from "../transfers/begin.ts";
import { requestCancel } from "../transfers/dispatch.ts";
import { priceOfWork } from "../transfers/price.ts";
import { file, fileHeaders, json, keyIsTaken, onceHeaders, problems, secured } from "./route.ts";
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
    const { target, prompt, name } = await resolveModel(c.env, tenant, c.req.valid("query").model);
    if (!prompt) throw new ProblemError("The request is not valid", "A target has no task without a prompt.");
    const { students } = await readCatalogue(c.env.PROMPTS);
    const student = students.find((each) => each.target.digest === target.digest)!;
    const idempotencyKey = c.req.valid("header")["idempotency-key"];
    const wanted = { name, target, prompt, student };
    return c.json(await submit(c.env, tenant, wanted, idempotencyKey, c.req.raw), 202);
  });

  app.openapi(listPredictions, async (c) => {
    return c.json({ predictions: await ledgerOf(c.env, c.get("tenant")).predictions(PAGE) }, 200);
  });

  app.openapi(getPrediction, async (c) => {
    return c.json(await find(c.env, c.get("tenant"), c.req.valid("param").id), 200);
  });

  app.openapi(getEvents, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const version = c.req.valid("header")["last-event-id"] ?? 0;
    const now = await find(c.env, tenant, id);
    if (isFinal(now.state) && now.version <= version) return c.body(null, 204);
    return sendChanges(c, "prediction", version, async (after) => {
      await ledgerOf(c.env, tenant).next(id, after, HEARTBEAT_MS);
      return find(c.env, tenant, id);
    });
  });

  app.openapi(deletePrediction, async (c) => {
    const { id } = c.req.valid("param");
    await find(c.env, c.get("tenant"), id);
    await requestCancel(c.env, c.get("tenant"), id);
    return c.json(await find(c.env, c.get("tenant"), id), 202);
  });

  app.openapi(getFile, async (c) => {
    const { id, file: name } = c.req.valid("param");
    const tenant = c.get("tenant");
    const found = await ledgerOf(c.env, tenant).get(id);
    if (found?.kind !== "predict") throw notFound();
    requireFiles(found.transfer);
    const record = found.transfer.files.find((each) => each.name === name);
    if (!record) throw new ProblemError("Not found", `It has no file ${name}.`, { status: 404 });
    const folder = bucket.job(jobId(tenant, id)) + jobFiles.output + found.folder;
    return sendObject(c, folder + name, record);
  });
}

/** @throws ProblemError (404) */
async function find(env: Env, tenant: string, id: string): Promise<Prediction> {
  const found = await ledgerOf(env, tenant).prediction(id);
  if (!found) throw notFound();
  return found;
}

function notFound(): ProblemError {
  return new ProblemError("Not found", "There is no such prediction.", { status: 404 });
}

type Wanted = ResolvedModel & { readonly prompt: TransferredPrompt; readonly student: Student };

/** Stores the texts, reserves what the job may cost, and dispatches it. Where one of these fails, the texts are removed. */
async function submit(
  env: Env,
  tenant: string,
  wanted: Wanted,
  idempotencyKey: string | undefined,
  request: Request,
): Promise<Prediction> {
  const id = randomId(ID_LENGTH);
  const texts = textsOf(tenant, id);
  const removed = () => env.PROMPTS.delete(texts).catch(() => {});
  let stored: StoredTexts;
  let reserved: Reserved;
  try {
    stored = await storeTexts(env.PROMPTS, texts, request);
    reserved = await reserve(env, tenant, wanted, stored, { id, idempotencyKey });
  } catch (error) {
    await removed();
    throw error;
  }
  if (reserved.kind !== "new") await removed();
  if (reserved.kind === "conflict") throw keyIsTaken();
  if (reserved.kind === "refused") throw budgetProblem(reserved.refusals);
  return proceed(env, tenant, wanted, stored, reserved);
}

const textsOf = (tenant: string, id: string) => bucket.job(jobId(tenant, id)) + jobFiles.texts;

async function reserve(
  env: Env,
  tenant: string,
  { name: model, target, prompt, student }: Wanted,
  { examples, digest }: StoredTexts,
  { id, idempotencyKey }: { readonly id: string; readonly idempotencyKey: string | undefined },
): Promise<Reserved> {
  const { task } = await readManifest(env, tenant, prompt);
  const length = task.maxLength + (isGeneration(task) ? task.maxNewTokens : 0);
  const { work, ask, perSecond, rate, estimate } = await priceOfWork(env, examples * length, student, 0);
  await registerOf(env).add(tenant);
  return ledgerOf(env, tenant).reservePrediction({
    id,
    idempotencyKey,
    fingerprint: idempotencyKey === undefined ? "" : `${model} ${digest}`,
    model,
    target: target.id,
    targetDigest: target.digest,
    promptDigest: storedFiles(tenant, prompt).sha256,
    work,
    ask,
    price: perSecond,
    rate,
    estimatedSeconds: estimate.deviceSeconds,
  });
}

/** Dispatches what is reserved, if that is left to do: then the texts of the first request lie there. */
async function proceed(
  env: Env,
  tenant: string,
  wanted: Wanted,
  stored: StoredTexts,
  reserved: ReservedJob,
): Promise<Prediction> {
  const { transfer } = reserved;
  const { id } = transfer;
  if (!(await isToBegin(env, tenant, reserved))) return find(env, tenant, id);
  try {
    await writeSpec(env, tenant, id, wanted, stored);
    await begin(env, tenant, transfer);
    return await find(env, tenant, id);
  } catch (error) {
    await ledgerOf(env, tenant).abandon(id, "It could not be begun.");
    await env.PROMPTS.delete(textsOf(tenant, id)).catch(() => {});
    throw error;
  }
}

async function writeSpec(env: Env, tenant: string, id: string, wanted: Wanted, texts: StoredTexts): Promise<void> {
  const job = jobId(tenant, id);
  const { id: target, digest, files, precision, weights } = wanted.student.target;
  const spec: PredictSpec = {
    kind: "predict",
    job,
    model: { id: target, digest, files, precision, weights },
    prompt: jobId(tenant, wanted.prompt.transfer),
    data: {
      id: "texts",
      digest: texts.digest,
      size: texts.size,
      examples: texts.examples,
      description: "",
      retired: false,
    },
    own: true,
    report: { url: `${env.PUBLIC_URL}/internal/jobs/${job}/events`, token: await jobToken(env, job) },
  };
  await env.PROMPTS.put(bucket.job(job) + jobFiles.spec, JSON.stringify(spec));
}
