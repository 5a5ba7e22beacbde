/** What `softpost ui` serves, and what it passes on. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type RunningConsole, serveConsole } from "../../client/console/serve-console.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

let provider: Server;
let seen: { url: string | undefined; headers: IncomingMessage["headers"]; body: string }[];
let answer: { status: number; headers: Record<string, string>; body: string };
let running: RunningConsole;
const at = (path: string) => new URL(path, running.url).href;

beforeEach(async () => {
  seen = [];
  answer = {
    status: 200,
    headers: { "content-type": "application/json", etag: '"e"', "set-cookie": "a=b" },
    body: "{}",
  };
  provider = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    seen.push({ url: request.url, headers: request.headers, body });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  const folder = temporaryFolder();
  writeFileSync(join(folder, "index.html"), "<!doctype html>");
  writeFileSync(join(folder, "main-ABCDEFGH.js"), "1");
  writeFileSync(join(folder, "tune-worker.js"), "3");
  mkdirSync(join(folder, "below"));
  writeFileSync(join(folder, "below", "a.wasm"), "2");
  const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/base`;
  running = await serveConsole(folder, url, 0);
});

afterEach(async () => {
  await running.close();
  provider.close();
});

/** With headers that `fetch` would set itself. */
function statusWith(headers: Record<string, string>, path = "/console/"): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest(at(path), { headers }, (response) => resolve(response.resume().statusCode!))
      .on("error", reject)
      .end();
  });
}

test("its files have the policy that keeps the page to itself, and only those that there are", async () => {
  const page = await fetch(running.url);
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(page.headers.get("content-security-policy")).toContain("connect-src 'self'");
  expect(page.headers.get("cross-origin-embedder-policy")).toBe("require-corp");
  expect(page.headers.get("cache-control")).toBe("no-cache");
  const script = await fetch(at("main-ABCDEFGH.js"));
  expect(script.headers.get("cache-control")).toContain("immutable");
  expect((await fetch(at("below/a.wasm"))).headers.get("content-type")).toBe("application/wasm");
  // A thread with private rows may reach nothing, not even this address.
  expect((await fetch(at("tune-worker.js"))).headers.get("content-security-policy")).not.toContain("connect-src");
  expect((await fetch(at("%2e%2e%2fpackage.json"))).status).toBe(404);
  expect((await fetch(at("/console/nothing"))).status).toBe(404);
  expect((await fetch(at("/internal/usage"))).status).toBe(404);
});

test("requests reach the provider as they are, with no header of this machine's", async () => {
  const response = await fetch(at("/v1/quotes?a=b"), {
    method: "POST",
    headers: { authorization: "Bearer key", "content-type": "application/json", cookie: "c=d", "x-other": "1" },
    body: '{"a":1}',
  });
  expect(await response.json()).toEqual({});
  expect(response.headers.get("etag")).toBe('"e"');
  expect(response.headers.get("set-cookie")).toBeNull();
  const [{ url, headers, body }] = seen as [(typeof seen)[number]];
  expect([url, body]).toEqual(["/base/v1/quotes?a=b", '{"a":1}']);
  expect(headers).toMatchObject({ authorization: "Bearer key", "content-type": "application/json" });
  expect(headers).not.toHaveProperty("cookie");
  expect(headers).not.toHaveProperty("x-other");
  expect(headers).not.toHaveProperty("origin");
});

test("a refusal comes back as it is, a redirect is followed nowhere, and a provider that is gone is said so", async () => {
  answer = { status: 402, headers: { "content-type": "application/problem+json" }, body: '{"title":"No"}' };
  expect((await fetch(at("/v1/budget"))).status).toBe(402);
  answer = { status: 307, headers: { location: at("/v1/stolen") }, body: "" };
  const redirected = await fetch(at("/v1/budget"), { headers: { authorization: "Bearer key" } });
  expect(redirected.status).toBe(503);
  expect(seen).toHaveLength(2);
  provider.close();
  provider.closeAllConnections();
  expect(await (await fetch(at("/v1/budget"))).json()).toMatchObject({ title: "The provider can't be reached" });
});

test("another page in the browser, also by a name that leads to this machine, gets nothing and sends nothing on", async () => {
  const { host } = new URL(running.url);
  expect(await statusWith({ host })).toBe(200);
  expect(await statusWith({ host: "evil.example" })).toBe(403);
  expect(await statusWith({ host: "localhost.evil.example" })).toBe(403);
  expect(await statusWith({ host, origin: "https://evil.example" }, "/v1/budget")).toBe(403);
  expect(await statusWith({ host, origin: "null" }, "/v1/budget")).toBe(403);
  expect(seen).toEqual([]);
});

test("a port that is taken is named", async () => {
  const port = Number(new URL(running.url).port);
  await expect(serveConsole(temporaryFolder(), "https://a.example", port)).rejects.toThrow(`has port ${port}`);
});
