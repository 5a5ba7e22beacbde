import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, jobId, randomId } from "../../shared/protocol/ids.ts";
import type { TransferSpec } from "../../shared/protocol/job.ts";
import { JOB_PROTOCOL } from "../../shared/protocol/job-version.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import { type Transfer, transferSchema } from "../../shared/protocol/transfer.ts";
import { labelsSchema } from "../../shared/protocol/transfer-options.ts";
import { type CheckedUpload, validateUpload } from "../../shared/submission/validate.ts";
import type { Env } from "../env.ts";
import type { App, AppEnv } from "../http/app-env.ts";
import { jobToken, ledgerOf, registerOf, tenantWith } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { limitBody, MAX_UPLOAD_BYTES, readUpload, type Upload } from "../http/upload.ts";
import { budgetProblem } from "../ledger/decide.ts";
import type { Submission } from "../ledger/store.ts";
import type { ReservedJob } from "../ledger/tenant.ts";
import { readCatalogue } from "../storage/catalogue.ts";
import { begin, isToBegin } from "../transfers/begin.ts";
import { abandon } from "../transfers/dispatch.ts";
import { priceOf } from "../transfers/price.ts";
import { describeSchema, json, keyIsTaken, onceHeaders, problems, secured } from "./route.ts";

/** As the Idempotency-Key draft has it: opaque, and short enough to store. */
const postTransfer = createRoute({
  operationId: "submitTransfer",
  tags: ["Transfers"],
  method: "post",
  path: "/v1/transfers",
  summary: "Submit a prompt for transfer",
  description:
    "Parts: `manifest` (softpost.json), `prompt` (adapter_model.safetensors) and `options` (JSON), and if wanted `labels` (JSON: a name and metadata for yourself, which no job sees). With an Idempotency-Key header the request can be repeated safely.",
  security: secured,
  middleware: [tenantWith("submit"), limitBody(MAX_UPLOAD_BYTES)],
  request: {
    headers: onceHeaders,
    body: {
      required: true,
      content: {
        "multipart/form-data": {
          schema: {
            type: "object",
            required: ["manifest", "prompt", "options"],
            properties: {
              manifest: {
                type: "string",
                contentMediaType: "application/json",
                contentSchema: { $ref: "#/components/schemas/Manifest" },
              },
              prompt: { type: "string", contentMediaType: "application/octet-stream" },
              options: {
                type: "string",
                contentMediaType: "application/json",
                contentSchema: { $ref: "#/components/schemas/TransferOptions" },
              },
              labels: {
                type: "string",
                contentMediaType: "application/json",
                contentSchema: { $ref: "#/components/schemas/Labels" },
              },
            },
          },
        },
      },
    },
  },
  responses: {
    202: {
      ...json(transferSchema, "It is accepted; Location says where to follow it."),
      headers: { Location: { description: "The transfer's path.", schema: { type: "string" } } },
    },
    ...problems,
  },
});

export function addSubmitRoutes(app: App): void {
  describeSchema(app, "Labels", labelsSchema);
  app.openapi(postTransfer, async (c) => {
    const upload = await readUpload(c.req.raw);
    const fingerprint = await fingerprintOf(upload);
    const earlier = await sentBefore(c, fingerprint);
    const transfer = earlier && earlier.state !== "accepted" ? earlier : await submit(c, upload, fingerprint, earlier);
    c.header("location", `/v1/transfers/${transfer.id}`);
    return c.json(transfer, 202);
  });
}

/** What an idempotency key stands for. */
async function fingerprintOf({ manifest, prompt, options, labels }: Upload): Promise<string> {
  const parts = [manifest, prompt, options, ...(labels ? [labels] : [])];
  return (await Promise.all(parts.map(sha256))).join(" ");
}

/** The transfer that the same request has made before, whatever the catalogue has become since; null if there is none. */
async function sentBefore(c: Context<AppEnv>, fingerprint: string): Promise<Transfer | null> {
  const key = c.req.header("idempotency-key");
  const earlier = key === undefined ? null : await ledgerOf(c.env, c.get("tenant")).earlier(key, fingerprint);
  if (earlier?.kind === "conflict") throw keyIsTaken();
  return earlier?.transfer ?? null;
}

/** @param earlier what is to be begun where the first request didn't; reconciliation does that too, if the upload is no longer valid */
async function submit(
  c: Context<AppEnv>,
  upload: Upload,
  fingerprint: string,
  earlier: Transfer | null,
): Promise<Transfer> {
  const tenant = c.get("tenant");
  const checked = await validateUpload(upload, await readCatalogue(c.env.PROMPTS)).catch((error: unknown) => {
    if (!earlier) throw error;
    return null;
  });
  if (!checked) return earlier!;
  const submission = await describe(c, fingerprint, checked);
  // First the mark by which reconciliation finds it.
  await registerOf(c.env).add(tenant);
  const reserved = await ledgerOf(c.env, tenant).reserve(submission);
  if (reserved.kind === "conflict") throw keyIsTaken();
  if (reserved.kind === "refused") throw budgetProblem(reserved.refusals);
  return proceed(c.env, tenant, reserved, upload, checked);
}

async function describe(c: Context<AppEnv>, fingerprint: string, checked: CheckedUpload): Promise<Submission> {
  const { manifest, options, student, labels } = checked;
  const { work, perSecond, rate, estimate, ask } = await priceOf(c.env, checked);
  const key = c.req.header("idempotency-key");
  const promptDigest = manifest.prompt.digest;
  return {
    id: randomId(ID_LENGTH),
    idempotencyKey: key ?? `none ${randomId(ID_LENGTH)}`,
    fingerprint,
    student: student.id,
    apiKey: c.get("key"),
    targetDigest: student.target.digest,
    work,
    ask,
    price: perSecond,
    rate,
    estimatedSeconds: estimate.deviceSeconds,
    promptDigest,
    privacy: manifest.privacy,
    options,
    labels,
  };
}

/** Stores and dispatches a reserved transfer, if that is left to do. */
async function proceed(
  env: Env,
  tenant: string,
  reserved: ReservedJob,
  upload: { manifest: Uint8Array; prompt: Uint8Array },
  checked: CheckedUpload,
): Promise<Transfer> {
  const { transfer } = reserved;
  if (!(await isToBegin(env, tenant, reserved))) return transfer;
  try {
    await store(env, tenant, transfer, upload, checked);
  } catch (cause) {
    await abandon(env, tenant, transfer.id, "The upload could not be stored.");
    const detail = "The upload could not be stored, and nothing was reserved; send it again in a moment.";
    throw new ProblemError("The storage can't be reached", detail, { status: 503, cause });
  }
  const dispatched = await begin(env, tenant, transfer);
  logEvent("submitted", { tenant, transfer: transfer.id });
  return dispatched;
}

/** Writes the job's folder, the spec last: where it is, the rest is. A file that is there already stays as it is. */
async function store(
  env: Env,
  tenant: string,
  transfer: Transfer,
  upload: { manifest: Uint8Array; prompt: Uint8Array },
  { options, student, publicSets: [publicSet, ...alternatives] }: CheckedUpload,
): Promise<void> {
  const job = jobId(tenant, transfer.id);
  const { dataset: _, ...jobOptions } = options;
  const spec: TransferSpec = {
    kind: "transfer",
    job,
    target: student.target,
    student: { id: student.id, kind: student.kind, digest: student.digest, files: student.files },
    publicSet,
    ...(alternatives.length > 0 && { alternatives }),
    prompt: { name: WEIGHTS_FILE, size: upload.prompt.length, sha256: transfer.promptDigest },
    options: jobOptions,
    report: { url: `${env.PUBLIC_URL}/internal/jobs/${job}/events`, token: await jobToken(env, job) },
  };
  const write = (name: string, value: Uint8Array | string) =>
    env.PROMPTS.put(bucket.job(job) + name, value, { onlyIf: { etagDoesNotMatch: "*" } });
  await write(jobFiles.weights, upload.prompt);
  await write(jobFiles.manifest, upload.manifest);
  await write(jobFiles.spec, JSON.stringify({ version: JOB_PROTOCOL, ...spec }));
}
