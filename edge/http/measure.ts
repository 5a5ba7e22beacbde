import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import { count, observe } from "../metrics/count.ts";
import { flushMetrics } from "../metrics/flush.ts";
import type { AppEnv } from "./app-env.ts";
import { registerOf } from "./auth.ts";

/** Counts and times every request, by its route's pattern: there are as many series as routes, whatever is asked for. */
export const measureRequests = createMiddleware<AppEnv>(async (c, next) => {
  const start = Date.now();
  await next();
  const route = routePath(c, -1);
  count("softpost_requests_total", { method: c.req.method, route, status: c.res.status });
  observe(route, (Date.now() - start) / 1000);
  c.executionCtx.waitUntil(flushMetrics(registerOf(c.env)));
});
