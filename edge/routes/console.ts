import { createMiddleware } from "hono/factory";
import { CONSOLE_PATH, consoleCaching, consoleHeadersOf } from "../../shared/protocol/console.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { App, AppEnv } from "../http/app-env.ts";

/** Above what sets the headers of answers to programs. */
export const consoleHeaders = createMiddleware<AppEnv>(async (c, next) => {
  await next();
  const headers = consoleHeadersOf(c.req.path.slice(CONSOLE_PATH.length));
  for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
});

/** The page for people. Its files are the Worker's static assets; what it may load and reach is said here. */
export function addConsole(app: App): void {
  app.get("/console", (c) => c.redirect(CONSOLE_PATH));
  app.get(`${CONSOLE_PATH}provider.json`, (c) => {
    c.header("cache-control", "no-store");
    return c.json({ url: new URL(c.req.url).origin, servedBy: "provider" });
  });
  app.get(`${CONSOLE_PATH}*`, async (c) => {
    const { pathname, origin } = new URL(c.req.url);
    const name = pathname.slice(CONSOLE_PATH.length);
    const found = await c.env.ASSETS?.fetch(`${origin}/${name}`, { headers: c.req.raw.headers });
    if (!found || ![200, 304].includes(found.status)) {
      throw new ProblemError("Not found", "There is no such file of the console.", { status: 404 });
    }
    const answer = new Response(found.body, found);
    answer.headers.set("cache-control", consoleCaching(name));
    return answer;
  });
}
