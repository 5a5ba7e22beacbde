import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import { ID_LENGTH, randomId } from "../../shared/protocol/ids.ts";
import type { AppEnv } from "./app-env.ts";

/** One JSON line about something that happened: ids, states and numbers, never a text of a tenant's. */
export function logEvent(event: string, fields: Readonly<Record<string, string | number | null | undefined>>): void {
  // biome-ignore lint/suspicious/noConsole: this is the log
  console.log(JSON.stringify({ event, ...fields }));
}

/**
 * One JSON line a request: route, status and time. Never a header, a body or a whole URL, so no secret and no value of a prompt can
 * get in.
 */
export const logRequests = createMiddleware<AppEnv>(async (c, next) => {
  const requestId = randomId(ID_LENGTH);
  const start = Date.now();
  c.set("requestId", requestId);
  await next();
  c.res.headers.set("x-request-id", requestId);
  const line = {
    requestId,
    method: c.req.method,
    route: routePath(c, -1),
    status: c.res.status,
    milliseconds: Date.now() - start,
    tenant: c.get("tenant"),
    error: c.get("error"),
  };
  // biome-ignore lint/suspicious/noConsole: this is the log
  console.log(JSON.stringify(line));
});
