/** How long the page's own thread is kept while its view tunes: the real view, with a real provider on this machine. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { serveConsole } from "../../client/console/serve-console.ts";
import { serve } from "../../test/service/served.ts";
import { launch } from "../../test/web/chromium.ts";
import { buildWeb } from "../../web/build.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The model is so small that steps come fast, and each is told to the page. */
const STEPS = 120;
const VIRTUAL_TOKENS = 4;

/** What the page did between the button and the prompt. */
export interface Responsiveness {
  readonly steps: number;
  readonly milliseconds: number;
  /** Milliseconds of the longest task, and how many of them took more than 50, which is all that the platform tells of. */
  readonly longest: number;
  readonly over50: number;
  /** CPU milliseconds of the longest one: what it would take where no other program has the core. */
  readonly longestCpu: number;
  /** Milliseconds between two frames, also where the machine had no core for the page. */
  readonly longestGap: number;
}

/** Tunes the demo's model in the view and watches the page. */
export async function longestTask(): Promise<Responsiveness> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-tab-"));
  const [student, texts, pages] = [join(folder, "student"), join(folder, "texts.jsonl"), join(folder, "pages")];
  const model = join(ROOT, "demo/model");
  writeFileSync(
    texts,
    lines(24, (i) => ({ text: `Public text number ${i}, of no one.` })),
  );
  const few = ["--steps", "1", "--batch-size", "2", "--max-length", "12"];
  softpost("distill", "--target", model, "--public", texts, ...few, "--out", student);
  const [provider] = await Promise.all([
    serve(join(folder, "provider"), "--target", model, "--student", student, "--public", texts, "--quiet"),
    buildWeb(pages),
  ]);
  const running = await serveConsole(pages, provider.url, 0);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`${running.url}#/tune`);
    await page.getByLabel("API key").fill(provider.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    return await watched(page);
  } finally {
    await browser.close();
    await running.close();
    await provider.end("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  }
}

async function watched(page: Page): Promise<Responsiveness> {
  await page.getByRole("button", { name: "student", exact: true }).click();
  const rows = lines(200, (i) => ({ text: `The train was late again, day ${i}`, label: i % 2 ? "good" : "bad" }));
  const file = { name: "rows.jsonl", mimeType: "", buffer: Buffer.from(rows) };
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByText("As the student reads it").waitFor();
  await page.getByLabel(/^Differential privacy/).uncheck();
  for (const [name, value] of Object.entries({ "Virtual tokens": VIRTUAL_TOKENS, Steps: STEPS })) {
    const field = page.getByRole("textbox", { name, exact: true });
    await field.fill(String(value));
    await field.blur();
  }
  const tune = page.getByRole("button", { name: "Tune", exact: true });
  await tune.and(page.locator(":enabled")).waitFor();
  const browser = page.context().browser()!;
  await browser.startTracing(page, { categories: ["toplevel"] });
  await page.evaluate(WATCH);
  await tune.click();
  await page.getByRole("button", { name: "Download the prompt's folder" }).waitFor();
  const longestCpu = longestOf(await browser.stopTracing());
  const seen = await page.evaluate<Omit<Responsiveness, "steps" | "longestCpu">>("stopWatching()");
  return { steps: STEPS, longestCpu, ...seen };
}

/** In the page: notes its long tasks and its frames, until it is asked for them. */
const WATCH = `
  const tasks = [];
  const began = performance.now();
  let [last, longestGap, isOn] = [began, 0, true];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
    .observe({ type: "longtask" });
  const frame = () => {
    const now = performance.now();
    longestGap = Math.max(longestGap, now - last);
    last = now;
    if (isOn) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  globalThis.stopWatching = () => {
    isOn = false;
    const milliseconds = performance.now() - began;
    return { milliseconds, longest: Math.max(0, ...tasks), over50: tasks.length, longestGap };
  };`;

/** An event of a trace of Chromium's; times are in microseconds. */
interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** CPU milliseconds of the longest task of renderers' main threads. */
function longestOf(trace: Buffer): number {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const threadOf = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const isMain = (event: TraceEvent) => event.name === "thread_name" && event.args?.name === "CrRendererMain";
  const main = new Set(traceEvents.filter(isMain).map(threadOf));
  const tasks = traceEvents.filter((event) => event.ph === "X" && main.has(threadOf(event)));
  return tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0);
}

function softpost(...args: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, "client/main.ts"), ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}

const lines = (count: number, row: (i: number) => object) =>
  Array.from({ length: count }, (_, i) => JSON.stringify(row(i))).join("\n");
