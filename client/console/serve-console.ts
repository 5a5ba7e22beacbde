import { readdir, readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { CONSOLE_PATH, consoleCaching, consoleHeadersOf } from "../../shared/protocol/console.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { forward } from "./forward.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

export interface RunningConsole {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the console on loopback from a folder of this machine's, and passes what the page asks of the API on to the provider: so the page, which may connect
 * to its own address only, reaches the provider and nobody else. It keeps no key: each request brings the page's.
 *
 * @param provider its address, without a slash at the end
 * @throws ProblemError if the port is taken
 */
export async function serveConsole(folder: string, provider: string, port: number): Promise<RunningConsole> {
  const server = createServer();
  await listen(server, port);
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const app = consoleApp(await filesOf(folder), provider, host);
  server.on("request", getRequestListener(app.fetch));
  return {
    url: `http://${host}${CONSOLE_PATH}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function consoleApp(files: ReadonlyMap<string, string>, provider: string, host: string): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    // A page of somebody else's, also under a name that leads here, has no business with it.
    const origin = c.req.header("origin");
    if (c.req.header("host") !== host || (origin !== undefined && origin !== `http://${host}`)) {
      return c.json({ title: "Not allowed", detail: `Open http://${host}${CONSOLE_PATH}.` }, 403);
    }
    await next();
    const headers = consoleHeadersOf(c.req.path.slice(CONSOLE_PATH.length));
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  });
  app.get("/", (c) => c.redirect(CONSOLE_PATH));
  app.get(`${CONSOLE_PATH}provider.json`, (c) => {
    c.header("cache-control", "no-store");
    return c.json({ url: provider, servedBy: "client" });
  });
  app.get(`${CONSOLE_PATH}:name{.*}`, async (c) => {
    const name = c.req.param("name") || "index.html";
    const path = files.get(name);
    if (path === undefined) return c.notFound();
    c.header("content-type", TYPES[extname(name)] ?? "application/octet-stream");
    c.header("cache-control", consoleCaching(name));
    return c.body(new Uint8Array(await readFile(path)));
  });
  app.all("/v1/*", (c) => forward(c.req.raw, provider));
  return app;
}

/** The files that there are, by name: nothing else is ever read. */
async function filesOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return new Map(files.map((path) => [path.slice(folder.length).replaceAll("\\", "/").replace(/^\//, ""), path]));
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === "EADDRINUSE";
      const detail = `Another program has port ${port}; name another with --port.`;
      reject(taken ? new ProblemError("The console can't start", detail, { cause }) : cause);
    });
    server.listen(port, "127.0.0.1", resolve);
  });
}
