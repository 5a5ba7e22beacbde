import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import type { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { App, AppEnv } from "./app-env.ts";

const TITLE = "The request is not valid";

/** Refuses what a route would pass over in silence: a query parameter that it doesn't know, and a body where none is taken. */
export function refuseUnknown(app: App) {
  let routes: ReturnType<typeof described> | undefined;
  return createMiddleware<AppEnv>(async (c, next) => {
    if (c.req.method === "GET" && c.req.raw.body !== null) {
      throw new ProblemError(TITLE, "A GET request has no body.");
    }
    const path = matchedRoutes(c).at(-1)!.path;
    routes ??= described(app);
    const route = routes.find((each) => each.honoPath === path && each.method === c.req.method);
    const faults = Object.keys(route ? c.req.query() : {})
      .filter((name) => !route!.query.includes(name))
      .slice(0, 10)
      .map((name) => ({ at: `query#/${name.slice(0, 80)}`, message: "Is no parameter of this route." }));
    if (faults.length > 0) throw new ProblemError(TITLE, "Its query has an unknown parameter.", { faults });
    await next();
  });
}

/** The answer where no route was found. @throws ProblemError 405 with `Allow` where there is one of another method, else 404 */
export function notFound(app: App, c: Context<AppEnv>): never {
  const methods = described(app).flatMap(({ pattern, method }) => (pattern.test(c.req.path) ? [method] : []));
  if (methods.length === 0) throw new ProblemError("Not found", "There is no such route; see /docs.", { status: 404 });
  const allowed = [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))];
  c.header("allow", allowed.join(", "));
  const detail = `This route takes ${allowed.join(", ")}; see /docs.`;
  throw new ProblemError("The method is not allowed", detail, { status: 405 });
}

/** The routes of the OpenAPI description, and the two that show it. */
function described(app: App) {
  const pages = ["/docs", "/openapi.json"].map((path) => ({ path, method: "get", request: undefined }));
  const routes = app.openAPIRegistry.definitions.flatMap((each) => (each.type === "route" ? [each.route] : []));
  return [...routes, ...pages].map(({ path, method, request }) => ({
    method: method.toUpperCase(),
    honoPath: path.replaceAll(/\{(\w+)\}/g, ":$1"),
    pattern: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`),
    query: Object.keys((request?.query as z.ZodObject | undefined)?.shape ?? {}),
  }));
}
