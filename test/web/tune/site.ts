/** The tuning view in Chromium, before a real provider; every request of the browser is seen. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { CONSOLE_PATH, consoleHeadersOf } from "../../../shared/protocol/console.ts";
import { buildWeb } from "../../../web/build.ts";
import { softpost } from "../../helpers/softpost.ts";
import { type Served, serve } from "../../service/served.ts";
import { chromiumPath } from "../chromium.ts";

/** Chromium's own driver for Vulkan in software. */
const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const MODEL = fileURLToPath(new URL("../../../demo/model", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  css: "text/css",
  html: "text/html",
  js: "text/javascript",
  mjs: "text/javascript",
  svg: "image/svg+xml",
  wasm: "application/wasm",
};

/** A request of the browser. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Changes an answer of the provider's on its way. */
export type Meddle = (path: string, response: Response, to: ServerResponse) => Promise<boolean>;

export interface Site {
  readonly folder: string;
  readonly provider: Served;
  readonly seen: Seen[];
  /** The student that the provider publishes. */
  readonly student: string;
  meddle: Meddle | undefined;
  /** What the browser's console said. */
  readonly said: string[];
  context(): Promise<BrowserContext>;
  /** The same in a browser that computes on a GPU, or on software in its place. */
  gpuContext(): Promise<BrowserContext>;
  open(context: BrowserContext): Promise<Page>;
  close(): Promise<void>;
}

/** Starts a provider, the view's page and a browser. */
export async function startSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-tune-"));
  const student = join(folder, "student");
  const publicTexts = join(folder, "public.jsonl");
  const rows = Array.from({ length: 24 }, (_, i) => JSON.stringify({ text: `Public text number ${i}, of no one.` }));
  writeFileSync(publicTexts, rows.join("\n"));
  // At such a rate its layers stay the target's, bit for bit: what tests compare must not hang on how a training rounds.
  const few = ["--steps", "1", "--batch-size", "2", "--max-length", "12", "--lr", "1e-12"];
  const distilled = await softpost("distill", "--target", MODEL, "--public", publicTexts, ...few, "--out", student);
  if (distilled.code !== 0) throw new Error(distilled.stderr);
  const models = ["--target", MODEL, "--student", student, "--public", publicTexts];
  const provider = await serve(join(folder, "provider"), ...models, "--quiet");
  const pages = join(folder, "pages");
  await buildWeb(pages);
  const site = {
    folder,
    provider,
    student,
    seen: [] as Seen[],
    said: [] as string[],
    meddle: undefined as Meddle | undefined,
  };
  const server = createServer((request, response) => answer(site, pages, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browsers: Browser[] = [];
  const launch = async (...more: string[]) => {
    const browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox", ...more] });
    browsers.push(browser);
    return browser;
  };
  const contextOf = async (browser: Browser) => {
    const context = await browser.newContext();
    // On a machine that has much else to do.
    context.setDefaultTimeout(120_000);
    return context;
  };
  const browser = await launch();
  return Object.assign(site, {
    context: () => contextOf(browser),
    gpuContext: async () => contextOf(await launch(...SOFTWARE_GPU)),
    async open(context: BrowserContext) {
      const page = await context.newPage();
      page.on("console", (message) => site.said.push(message.text()));
      page.on("pageerror", (error) => site.said.push(error.message));
      await page.goto(`${url}${CONSOLE_PATH}#/tune`);
      await page.getByLabel("API key").fill(provider.key);
      await page.getByRole("button", { name: "Sign in" }).click();
      return page;
    },
    async close() {
      for (const each of browsers) await each.close();
      server.closeAllConnections();
      server.close();
      await provider.end("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  });
}

async function answer(
  site: Pick<Site, "provider" | "seen" | "meddle">,
  pages: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  const { method = "GET", url = "/" } = request;
  site.seen.push({ method, url, headers: request.headers, body });
  if (url.startsWith("/v1/")) {
    const names = ["authorization", "content-type", "idempotency-key", "range", "if-range"];
    const passed = Object.fromEntries(
      names.flatMap((name) => (request.headers[name] ? [[name, String(request.headers[name])]] : [])),
    );
    const init = { method, headers: passed, ...(body.length > 0 && { body: new Uint8Array(body) }) };
    const answer = await fetch(site.provider.url + url, init);
    if (await site.meddle?.(url, answer.clone(), response)) return;
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    response.end(new Uint8Array(await answer.arrayBuffer()));
    return;
  }
  const name = url.slice(CONSOLE_PATH.length) || "index.html";
  const headers = { ...consoleHeadersOf(name), "content-type": TYPES[name.split(".").at(-1)!] ?? "" };
  if (name === "provider.json") {
    response.writeHead(200, headers).end(JSON.stringify({ url: site.provider.url, servedBy: "provider" }));
    return;
  }
  try {
    response.writeHead(200, headers).end(readFileSync(join(pages, name)));
  } catch {
    response.writeHead(404, headers).end();
  }
}
