/** Pages for tests, and what they do. */
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { expect } from "vitest";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
/** Not in the repository: for people to look at. */
const PICTURES = fileURLToPath(new URL("../../dist/screenshots/", import.meta.url));

/** What a page did that it must not do. */
export interface Watched {
  readonly page: Page;
  /** Errors and warnings of the console, uncaught errors, broken policies. */
  readonly complaints: string[];
  /** Every address that a request went to. */
  readonly requests: string[];
}

/** A page of its own whose every request and complaint is noted. */
export async function openPage(browser: Browser, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Watched> {
  const context: BrowserContext = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const [complaints, requests]: [string[], string[]] = [[], []];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  page.setDefaultTimeout(120_000);
  return { page, complaints, requests };
}

/** Drops files or a folder of this machine on a part of the page, as a mouse does. */
export async function drop(page: Page, on: Locator, ...paths: string[]): Promise<void> {
  await on.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await on.boundingBox())!;
  const at = { x: x + width / 2, y: y + height / 2, data: { items: [], files: paths, dragOperationsMask: 1 } };
  const session = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, ...at });
  await session.detach();
}

/** Looks for what keeps people with disabilities from using a page (axe-core). */
export async function expectAccessible(page: Page): Promise<void> {
  // The page's policy lets no script in; the browser's own means do.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: readFileSync(AXE, "utf8") });
  const { result } = await session.send("Runtime.evaluate", {
    expression: `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary).join(" | ")))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  expect(result.value).toEqual([]);
}

const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

/** Pictures of a view, light and dark, wide and narrow; nothing of it may stick out to the side. */
export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      const over = () => page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      await expect.poll(over, { message: `${name} is wider than the ${size} window` }).toBeLessThanOrEqual(0);
      await page.screenshot({ path: join(PICTURES, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
    await expectAccessible(page);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(SIZES.wide);
}
