import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MAX_FAULTS } from "../../shared/protocol/json.ts";
import { openaiError } from "../../shared/protocol/openai-error.ts";
import { countRefusal } from "../metrics/count.ts";
import type { AppEnv } from "./app-env.ts";

/** RFC 9457, with every fault of the request in `faults`. */
export const problemSchema = z
  .object({
    type: z.string().describe("urn:softpost:problem: and the title, the same for every problem of its kind."),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().describe("The request's id, as in its X-Request-Id header and in the provider's log."),
    faults: z.array(z.object({ at: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: "Problem" });

/** Where errors have OpenAI's form, for its clients. */
const OPENAI_ROUTES = /^\/v1\/(models|completions|chat|classify)(\/|$)/;
/** Where nothing says how long it takes: long enough for a restart, short enough to wait for. */
const RETRY_SECONDS = 5;

/** The one place where errors become answers. What isn't a ProblemError is our own bug: it is logged, not shown. */
export function onError(error: Error, c: Context<AppEnv>): Response {
  const problem = toProblem(error);
  if (problem.status >= 500) c.set("error", withCauses(error));
  const { retryAfter = RETRY_SECONDS } = problem;
  if (problem.status < 500) countRefusal(problem);
  const openai = OPENAI_ROUTES.test(c.req.path) ? openaiError(problem) : undefined;
  const headers = new Headers(c.res.headers);
  const status = openai?.status ?? problem.status;
  headers.set("content-type", openai ? "application/json" : "application/problem+json");
  if (status === 401) headers.set("www-authenticate", "Bearer");
  if (status === 429 || status === 503) headers.set("retry-after", String(retryAfter));
  return new Response(JSON.stringify(openai?.body ?? problemBody(problem, c.get("requestId"))), { status, headers });
}

function problemBody(
  { code, title, detail, status, faults }: ProblemError,
  requestId: string,
): z.output<typeof problemSchema> {
  return {
    type: `urn:softpost:problem:${code}`,
    title,
    status,
    detail,
    instance: requestId,
    ...(faults.length > 0 && { faults: [...faults] }),
  };
}

/** For the log: an error with what caused it. */
function withCauses(error: Error): string {
  const own = String(error.stack ?? error);
  return error.cause instanceof Error ? `${own}\nCaused by: ${withCauses(error.cause)}` : own;
}

/** How workerd says that a ledger can't be written: on one machine, whose disk is full. */
const NO_ROOM = /SQLITE_FULL|disk is full|SQLITE_IOERR|no space left/i;

function toProblem(error: Error): ProblemError {
  if (error instanceof ProblemError) return error;
  if (NO_ROOM.test(error.message)) {
    return new ProblemError("The storage can't be written", "Nothing was changed; try again later.", { status: 503 });
  }
  if (error instanceof HTTPException && error.status < 500) {
    return new ProblemError("The request is not valid", error.message || "It can't be read.", { status: error.status });
  }
  return new ProblemError("Internal error", "It was logged; quote the instance when you report it.", { status: 500 });
}

/** Parts of a request by Hono's names for them. */
const PARTS: Readonly<Record<string, string>> = { json: "body", param: "path", query: "query", header: "headers" };

/** For a request that doesn't fit its route's schema. */
export function invalidRequest(error: z.core.$ZodError, where: string): ProblemError {
  const part = PARTS[where] ?? where;
  const faults = error.issues.slice(0, MAX_FAULTS).map((issue) => ({
    at: `${part}#${issue.path.map((part) => `/${String(part)}`).join("")}`,
    message: issue.message,
  }));
  const detail = `The ${part} ${part === "headers" ? "have" : "has"} ${faults.length === 1 ? "a fault" : `${faults.length} faults`}.`;
  return new ProblemError("The request is not valid", detail, { status: where === "json" ? 422 : 400, faults });
}
