import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, jobId, randomId } from "../../shared/protocol/ids.ts";
import type { PredictSpec } from "../../shared/protocol/job.ts";
import type { Prediction } from "../../shared/protocol/prediction.ts";
import { parsePromptModel } from "../../shared/protocol/served-model.ts";
import type { Env } from "../env.ts";
import { jobToken, ledgerOf, registerOf } from "../http/auth.ts";
import { readManifest, storedFiles } from "../inference/manifests.ts";
import { type ResolvedModel, resolveModel } from "../inference/models.ts";
import { type StoredTexts, storeTexts } from "../inference/store-texts.ts";
import { budgetProblem } from "../ledger/decide.ts";
import type { TransferredPrompt } from "../ledger/prompts.ts";
import { predictionKey } from "../ledger/store.ts";
import { readCatalogue } from "../storage/catalogue.ts";
import type { PromptStore } from "../storage/prompt-store.ts";
import { begin, isToBegin } from "../transfers/begin.ts";
import { abandon } from "../transfers/dispatch.ts";
import { priceOfWork, textPositions } from "../transfers/price.ts";
import { keyIsTaken } from "./route.ts";

/** What is asked for of `POST /v1/predictions`. */
interface Asked {
  readonly model: string;
  readonly idempotencyKey: string | undefined;
  readonly request: Request;
}

type Wanted = ResolvedModel & { readonly prompt: TransferredPrompt; readonly student: Student };

/** Takes texts that only are to be read: their job has them. */
const nowhere = { putStream: (_: string, body: ReadableStream) => body.pipeTo(new WritableStream()) } as PromptStore;

/** Stores the texts, reserves what the job may cost, and dispatches it; or finds the job that the same request has made before. */
export async function submitPrediction(env: Env, tenant: string, asked: Asked): Promise<Prediction> {
  const { model, idempotencyKey } = asked;
  const known = idempotencyKey === undefined ? null : await ledgerOf(env, tenant).predictionByKey(idempotencyKey);
  return known ? again(env, tenant, known, asked) : submit(env, tenant, await resolve(env, tenant, model), asked);
}

/** @throws ProblemError (404) */
export async function findPrediction(env: Env, tenant: string, id: string): Promise<Prediction> {
  const found = await ledgerOf(env, tenant).prediction(id);
  if (!found) throw noPrediction();
  return found;
}

export function noPrediction(): ProblemError {
  return new ProblemError("Not found", "There is no such prediction.", { status: 404 });
}

/** @throws ProblemError (404), (400) for a target by itself */
async function resolve(env: Env, tenant: string, model: string): Promise<Wanted> {
  const { target, prompt, name } = await resolveModel(env, tenant, model);
  if (!prompt) throw new ProblemError("The request is not valid", "A target has no task without a prompt.");
  const { students } = await readCatalogue(env.PROMPTS);
  const student = students.find((each) => each.target.digest === target.digest)!;
  return { name, target, prompt, student };
}

/** A key that was used: the same texts for the same prompt are the same job, also where the prompt or its name is no longer there. */
async function again(
  env: Env,
  tenant: string,
  known: Prediction,
  { model, idempotencyKey, request }: Asked,
): Promise<Prediction> {
  const wanted = await resolve(env, tenant, model).catch((error: unknown) => {
    if (error instanceof ProblemError && error.status < 500) return null;
    throw error;
  });
  const name = wanted?.name ?? (parsePromptModel(model) ? model : known.model);
  const texts = await storeTexts(nowhere, "", request);
  const key = predictionKey({ id: known.id, idempotencyKey });
  const earlier = await ledgerOf(env, tenant).earlier(key, fingerprintOf(name, texts));
  if (earlier?.kind !== "existing") throw keyIsTaken();
  const toBegin = wanted && (await isToBegin(env, tenant, earlier));
  return toBegin ? dispatch(env, tenant, wanted, texts, known.id) : findPrediction(env, tenant, known.id);
}

const fingerprintOf = (model: string, { digest }: StoredTexts) => `${model} ${digest}`;

/** Notes that texts come, stores them, reserves what the job may cost, and dispatches it. */
async function submit(env: Env, tenant: string, wanted: Wanted, asked: Asked): Promise<Prediction> {
  const id = randomId(ID_LENGTH);
  const { stored, reserved } = await take(env, tenant, id, wanted, asked);
  if (reserved.kind === "late") {
    throw new ProblemError("The body came too slowly", "Nothing was reserved; send it again.", { status: 408 });
  }
  if (reserved.kind === "conflict") throw keyIsTaken();
  if (reserved.kind === "refused") throw budgetProblem(reserved.refusals);
  const { transfer } = reserved;
  const toBegin = await isToBegin(env, tenant, reserved);
  return toBegin ? dispatch(env, tenant, wanted, stored, transfer.id) : findPrediction(env, tenant, transfer.id);
}

/** Stores texts and reserves for them. Where that fails they are removed: by this request, or by reconciliation if it is interrupted. */
async function take(env: Env, tenant: string, id: string, wanted: Wanted, { idempotencyKey, request }: Asked) {
  const ledger = ledgerOf(env, tenant);
  const texts = bucket.job(jobId(tenant, id)) + jobFiles.texts;
  const remove = () =>
    env.PROMPTS.delete(texts).then(
      () => ledger.endUpload(id),
      () => {},
    );
  // First the mark by which reconciliation finds what is left.
  await registerOf(env).add(tenant);
  const refused = await ledger.beginUpload(id, (await priceOfTexts(env, tenant, wanted, 1)).ask);
  if (refused.length > 0) throw budgetProblem(refused);
  try {
    const stored = await storeTexts(env.PROMPTS, texts, request);
    const reserved = await reserve(env, tenant, wanted, stored, { id, idempotencyKey });
    if (reserved.kind !== "new") await remove();
    return { stored, reserved };
  } catch (error) {
    // What a bucket that didn't answer may still write, reconciliation removes.
    if (!(error instanceof ProblemError && error.status === 503)) await remove();
    throw error;
  }
}

/** What so many texts cost. */
async function priceOfTexts(env: Env, tenant: string, { prompt, student }: Wanted, examples: number) {
  const manifest = await readManifest(env, tenant, prompt);
  return priceOfWork(env, examples * textPositions(manifest, student), student, 0);
}

async function reserve(
  env: Env,
  tenant: string,
  wanted: Wanted,
  stored: StoredTexts,
  { id, idempotencyKey }: { readonly id: string; readonly idempotencyKey: string | undefined },
) {
  const { name: model, target, prompt } = wanted;
  const { work, ask, perSecond, rate, estimate } = await priceOfTexts(env, tenant, wanted, stored.examples);
  return ledgerOf(env, tenant).reservePrediction({
    id,
    idempotencyKey,
    fingerprint: idempotencyKey === undefined ? "" : fingerprintOf(model, stored),
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

/** Dispatches what is reserved: the texts of the first request lie there. Once the spec is there too, reconciliation can do it as well. */
async function dispatch(
  env: Env,
  tenant: string,
  wanted: Wanted,
  stored: StoredTexts,
  id: string,
): Promise<Prediction> {
  try {
    await writeSpec(env, tenant, id, wanted, stored);
  } catch (error) {
    await abandon(env, tenant, id, "It could not be begun.");
    throw error;
  }
  await begin(env, tenant, (await ledgerOf(env, tenant).get(id))!.transfer);
  return findPrediction(env, tenant, id);
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
