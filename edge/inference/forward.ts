import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, randomId } from "../../shared/protocol/ids.ts";
import type { Endpoint } from "../../shared/protocol/inference.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import type { Tokens } from "../../shared/protocol/metering.ts";
import { signTicket } from "../../shared/protocol/ticket.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { storedFiles } from "./manifests.ts";
import type { ResolvedModel } from "./models.ts";

/** A ticket is used at once. */
const TICKET_SECONDS = 30;
/** Longer than a serving process works on a request and tries to report it; then what is set aside is given back. */
const REPORT_SECONDS = 1800;
/** The report of a request that broke off comes at once, or when its serving process, which has ended, is there again. */
const BROKEN_MS = 300_000;

/** What OpenAI's ids of answers begin with. */
const PREFIXES: Readonly<Record<Endpoint, string>> = {
  completions: "cmpl-",
  "chat/completions": "chatcmpl-",
  classify: "classify-",
};

/** A request that was checked. */
export interface InferenceCall {
  readonly endpoint: Endpoint;
  readonly tenant: string;
  readonly model: ResolvedModel;
  /** What the client calls the model. */
  readonly shownModel: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** The most that it can use. */
  readonly most: Tokens;
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal;
}

/**
 * Reserves what a request may use and lets its target's serving process answer it. The answer goes through as it comes. What was used, the process
 * reports (`/internal/usage`); an answer that isn't a success costs nothing.
 *
 * @throws ProblemError (402) if a budget would be passed, (503) if the process can't be reached
 */
export async function forward(env: Env, context: ExecutionContext, call: InferenceCall): Promise<Response> {
  const ledger = ledgerOf(env, call.tenant);
  const request = randomId(2 * ID_LENGTH);
  const expires = Math.floor(Date.now() / 1000) + TICKET_SECONDS;
  const reservation = {
    id: request,
    model: call.model.name,
    most: call.most,
    expires: 1000 * (expires + REPORT_SECONDS),
  };
  const refusals = await ledger.reserveTokens(reservation);
  if (refusals.length > 0) {
    const detail = refusals.map(({ message }) => message).join(" ");
    throw new ProblemError("A budget would be passed", detail, { status: 402 });
  }
  const hasten = () => ledger.hastenTokens(request, Date.now() + BROKEN_MS);
  const answer = await ask(env, call, request, expires).catch(async (error: unknown) => {
    // Who hangs up pays for what was made meanwhile, which the process reports.
    await (call.signal.aborted ? hasten() : ledger.releaseTokens(request));
    throw error;
  });
  if (!answer.ok) await ledger.releaseTokens(request);
  const { readable, writable } = new IdentityTransformStream();
  context.waitUntil(answer.body!.pipeTo(writable, { signal: call.signal }).catch(hasten));
  return new Response(readable, { status: answer.status, headers: headersOf(answer) });
}

/** @throws ProblemError (503) if there is no answer, (502) if it isn't one for the client */
async function ask(
  env: Env,
  { endpoint, tenant, model, shownModel, body, most, signal }: InferenceCall,
  request: string,
  expires: number,
): Promise<Response> {
  const { target, prompt } = model;
  const ticket = await signTicket(
    {
      v: 1,
      request,
      tenant,
      target: target.id,
      targetDigest: target.digest,
      prompt: prompt && storedFiles(tenant, prompt),
      endpoint,
      maxTokens: most.prompt + most.completion,
      body: await sha256(body),
      expires,
    },
    env.SERVING_SECRET!,
  );
  const headers = {
    authorization: `Bearer ${ticket}`,
    "content-type": "application/json",
    "x-softpost-id": PREFIXES[endpoint] + randomId(2 * ID_LENGTH),
    "x-softpost-model": shownModel,
  };
  const init = { method: "POST", headers, body, signal, redirect: "manual" } as const;
  const answer = await fetch(`${target.url}/v1/${endpoint}`, init).catch((cause: unknown) => {
    logEvent("serving process not reached", { target: target.id, error: String(cause) });
    const detail = `The model ${target.id} can't be asked at the moment; nothing was charged. Try again.`;
    throw new ProblemError("The model can't be reached", detail, { status: 503, cause });
  });
  // What it says of the Worker's ticket, or of where to go instead, is no client's business.
  const { status } = answer;
  if (answer.ok || (status >= 400 && status !== 401 && status !== 403)) return answer;
  await answer.body?.cancel();
  const cause = new Error(`the serving process of ${target.id} answered ${status}`);
  throw new ProblemError("The model can't be asked", "It was logged; quote the instance.", { status: 502, cause });
}

function headersOf(answer: Response): Headers {
  const headers = new Headers({ "cache-control": "no-store" });
  for (const name of ["content-type", "retry-after"]) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return headers;
}
