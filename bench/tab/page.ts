/** A page in headless Chromium whose threads are an engine's. */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import type { Request, SessionPort } from "../../shared/graph/session-messages.ts";
import { consoleHeadersOf } from "../../shared/protocol/console.ts";
import { launch } from "../../test/web/chromium.ts";
import type { Time } from "../measure.ts";
import { asText } from "./request-text.ts";

const RUNTIME = fileURLToPath(new URL("../../node_modules/onnxruntime-web/dist/", import.meta.url));

/** A browser with one page, which is isolated from others, so that its threads can share memory. */
export interface TabBrowser {
  /** An engine's port whose sessions live in a thread of the page. */
  port(threads: number): Promise<TabPort>;
  close(): Promise<void>;
}

/** What the thread says to a request. */
interface Answer {
  readonly error?: string;
  readonly milliseconds: number;
  readonly loss?: number;
}

/** Sends an engine's requests to a thread of the page, one at a time. */
export class TabPort implements SessionPort {
  readonly #page: Page;
  readonly #name: string;
  readonly #cpuTime: () => Promise<number>;
  /** How long the newest request took there, and the CPU time of the browser's renderers meanwhile. */
  last: Time = { wall: 0, cpu: 0 };

  constructor(page: Page, name: string, cpuTime: () => Promise<number>) {
    this.#page = page;
    this.#name = name;
    this.#cpuTime = cpuTime;
  }

  async call<T>(request: Request): Promise<T> {
    const before = await this.#cpuTime();
    const { error, milliseconds, loss } = await this.#page.evaluate<Answer>(
      `new Promise((resolve) => {
        ${this.#name}.addEventListener("message", ({ data }) => resolve(data), { once: true });
        ${this.#name}.postMessage(${JSON.stringify(asText(request))});
      })`,
    );
    if (error !== undefined) throw new Error(error);
    this.last = { wall: milliseconds, cpu: (await this.#cpuTime()) - before };
    return { loss } as T;
  }

  async close(): Promise<void> {
    await this.#page.evaluate(`${this.#name}.terminate()`);
  }
}

/** Starts it, with the weights of this machine's models within its reach. */
export async function openTabBrowser(): Promise<TabBrowser> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("runner.ts", import.meta.url))],
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    conditions: ["onnxruntime-web-use-extern-wasm"],
  });
  const server = createServer(({ url = "/" }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const type = pathname.endsWith("js")
      ? "text/javascript"
      : pathname.endsWith(".wasm")
        ? "application/wasm"
        : "text/html";
    response.writeHead(200, { ...consoleHeadersOf(pathname.slice(1)), "content-type": type });
    if (pathname === "/runner.js") response.end(outputFiles[0]!.text);
    else if (pathname.startsWith("/weights/")) createReadStream(pathname.slice("/weights".length)).pipe(response);
    else if (pathname.startsWith("/ort-wasm-")) createReadStream(join(RUNTIME, pathname)).pipe(response);
    else response.end("<title>Benchmark</title>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const session = await browser.newBrowserCDPSession();
  const cpuTime = async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    return 1000 * processInfo.reduce((sum, { type, cpuTime }) => sum + (type === "renderer" ? cpuTime : 0), 0);
  };
  let count = 0;
  return {
    async port(threads) {
      const name = `thread${count++}`;
      await page.evaluate(`var ${name} = new Worker("/runner.js?threads=${threads}", { type: "module" })`);
      return new TabPort(page, name, cpuTime);
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
