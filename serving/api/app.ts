import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ENDPOINTS, type Endpoint, parseInference } from "../../shared/protocol/inference.ts";
import { openaiError } from "../../shared/protocol/openai-error.ts";
import type { Service } from "../service.ts";
import type { Meter } from "../usage/outbox.ts";
import { chat } from "./chat.ts";
import { classify } from "./classify.ts";
import { completions } from "./completions.ts";
import { parseBody, type RequestContext, readBody, type Work } from "./request.ts";
import { type AppContext, abortOnHangUp, problemOf, respond } from "./respond.ts";

/** Seconds after which a client that found everything full may come again. */
const RETRY_AFTER = "2";

/** The routes of the serving process: OpenAI's three, for who has a ticket; /healthz and /metrics for who is in its network. */
export function createApp<P>(service: Service<P>) {
  const app = new Hono<{ Bindings: HttpBindings }>();
  for (const endpoint of ENDPOINTS) app.post(`/v1/${endpoint}`, (c) => handle(c, endpoint, service));
  app.get("/healthz", (c) => {
    const { isOpen } = service.admission;
    return c.json({ status: isOpen ? "ok" : "stopping" }, isOpen ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    return c.text(await service.metrics.text(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });
  app.notFound(() => {
    throw new ProblemError("Not found", "There is no such route.", { status: 404 });
  });
  app.onError((error, c) => {
    const { status, body } = openaiError(problemOf(error));
    const endpoint = ENDPOINTS.find((each) => c.req.path === `/v1/${each}`);
    if (endpoint) service.metrics.request(endpoint, status);
    return c.json(body, status as 400, status === 503 ? { "retry-after": RETRY_AFTER } : {});
  });
  return app;
}

async function handle<P>(c: AppContext, endpoint: Endpoint, service: Service<P>): Promise<Response> {
  const start = performance.now();
  const ticket = await service.tickets.check(c.req.header("authorization"), endpoint);
  const bytes = await readBody(c.req.raw.body);
  const meter = service.tickets.spend(ticket, bytes);
  const abort = new AbortController();
  abortOnHangUp(c, abort);
  const timeout = setTimeout(() => abort.abort(tooSlow()), service.requestMs);
  let leave = () => {};
  let hasEnded = false;
  const end = () => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(timeout);
    // Of a request that failed, other texts may still be on their way.
    abort.abort();
    meter.end();
    leave();
  };
  try {
    const context: RequestContext<P> = {
      service,
      ticket,
      id: c.req.header("x-softpost-id") ?? ticket.request,
      model: c.req.header("x-softpost-model") ?? ticket.target,
      progress: progressOf(service, meter, abort.signal, start),
    };
    const work = workOf(endpoint, parseBody(bytes), context);
    leave = service.admission.enter(work.rows);
    const run = (emit: (event: object) => void) =>
      work
        .run(emit)
        .then((body) => {
          if (abort.signal.reason instanceof ProblemError) throw abort.signal.reason;
          service.metrics.request(endpoint, 200);
          return body;
        })
        .finally(end);
    return await respond(c, work.streamed, run, abort);
  } catch (error) {
    end();
    throw error;
  }
}

function workOf<P>(endpoint: Endpoint, body: unknown, context: RequestContext<P>): Work {
  if (endpoint === "completions") return completions(parseInference(endpoint, body), context);
  if (endpoint === "chat/completions") return chat(parseInference(endpoint, body), context);
  return classify(parseInference(endpoint, body), context);
}

/** Counts what a request takes, for the ledger and for Prometheus. */
function progressOf<P>({ metrics }: Service<P>, meter: Meter, signal: AbortSignal, start: number) {
  let isFirst = true;
  return {
    signal,
    onPrompt(tokens: number) {
      meter.addPrompt(tokens);
      metrics.tokens("prompt", tokens);
    },
    onCompletion(tokens: number) {
      if (isFirst) metrics.firstToken((performance.now() - start) / 1000);
      isFirst = false;
      meter.addCompletion(tokens);
      metrics.tokens("completion", tokens);
    },
  };
}

function tooSlow(): ProblemError {
  const detail = "The server was too busy to finish it in time; ask for fewer tokens, or later.";
  return new ProblemError("The request took too long", detail, { status: 503 });
}
