/** Tuning in a real browser: to the end, as on the command line, interrupted, and against those who cheat. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import type { BrowserContext, Download, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPromptFolder } from "../../../shared/data/prompt-folder.ts";
import { softpost } from "../../helpers/softpost.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { picture } from "../browser.ts";
import { carries } from "./carries.ts";
import { type Site, startSite } from "./site.ts";

const CANARY = "Grandmother hid the emerald 4711";
const rowsOf = (length: number) =>
  Array.from({ length }, (_, i) => ({
    text: i % 2 ? `${CANARY}, part ${i}, and was glad` : `The train was late again, day ${i}, and nobody came`,
    label: i % 2 ? "good" : "bad",
  }));
const ROWS = rowsOf(40);
const JSONL = {
  name: "rows.jsonl",
  mimeType: "",
  buffer: Buffer.from(ROWS.map((row) => JSON.stringify(row)).join("\n")),
};
/** What a GPU in software computes in little time. */
const FEW = {
  ...JSONL,
  buffer: Buffer.from(
    ROWS.slice(0, 6)
      .map((row) => JSON.stringify(row))
      .join("\n"),
  ),
};
const CSV = {
  name: "notes.csv",
  mimeType: "text/csv",
  // Of a hundred people, each with two rows: that a random key keeps none of them back, or most, doesn't happen.
  buffer: Buffer.from(
    ["note,kind,who", ...rowsOf(200).map(({ text, label }, i) => `"${text}",${label},${i >> 1}`)].join("\n"),
  ),
};

let site: Site;
beforeAll(async () => {
  site = await startSite();
});
afterAll(() => site?.close());

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const field = (page: Page, name: string) => page.getByRole("textbox", { name, exact: true });

async function fill(page: Page, name: string, value: string): Promise<void> {
  await field(page, name).fill(value);
  await field(page, name).blur();
}

/** Picks the student and drops a file. */
async function pick(page: Page, file: typeof JSONL): Promise<void> {
  await button(page, "student").click();
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByText("ready", { exact: true }).waitFor();
}

/** The files of a downloaded zip archive, in a folder. */
async function unzipped(download: Download): Promise<string> {
  const folder = temporaryFolder();
  const files = unzipSync(readFileSync(await download.path()));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

async function downloaded(page: Page, name: string): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, name).click()]);
  return unzipped(download);
}

test("a prompt with ε = 8 is tuned to the end and taken by the provider; no request carries a row", async () => {
  const context = await site.context();
  const page = await site.open(context);
  await button(page, "student").waitFor();
  await picture(page, "tune-begin");
  await pick(page, CSV);
  await page.getByRole("combobox", { name: "Column of the texts" }).selectOption("note");
  await page.getByRole("combobox", { name: "Column of the labels" }).selectOption("kind");
  await page.getByText("As the student reads it").waitFor();
  await fill(page, "Virtual tokens", "8");
  await fill(page, "Steps", "4");
  await page.getByRole("combobox", { name: "What is protected" }).selectOption("who");
  await fill(page, "Most rows of one who in a step", "2");
  await page.getByText(/of \d+ different values of “who”/).waitFor();
  await page.getByText(/for all rows of one who/).waitFor();
  await picture(page, "tune-ready");
  await button(page, "Tune").click();
  await button(page, "Download the prompt's folder").waitFor();
  await picture(page, "tune-finished");
  const folder = await downloaded(page, "Download the prompt's folder");
  const { manifest } = await readPromptFolder(folder);
  expect(manifest?.privacy?.epsilon).toBeGreaterThan(7.9);
  expect(manifest?.privacy?.epsilon).toBeLessThanOrEqual(8);
  expect(manifest?.privacy).toMatchObject({ steps: 4, sampler: "poisson", accountant: "pld" });
  expect(manifest?.privacy?.unit).toEqual({ field: "who", rowsPerUnit: 2 });
  expect(manifest!.privacy!.records).toBeLessThan(100);
  expect(await page.getByText(/together ε .* for all rows of one who/).count()).toBe(1);
  expect(manifest?.model.id).toBe("student");
  expect(await page.getByText("Right on rows kept back").count()).toBe(1);

  await fill(page, "Name of the private data", "notes-7");
  await button(page, "Submit").click();
  await page.getByText("Submitted:").waitFor();
  const id = await page.getByText("Submitted:").locator("a").textContent();
  const headers = { authorization: `Bearer ${site.provider.key}` };
  const transfer = await (await fetch(`${site.provider.url}/v1/transfers/${id}`, { headers })).json();
  expect(transfer).toMatchObject({ id, promptDigest: manifest!.prompt.digest, options: { dataset: "notes-7" } });
  // Its job would take the other tests' time.
  await fetch(`${site.provider.url}/v1/transfers/${id}/cancel`, { method: "POST", headers });

  // Everything that left the browser, whoever sent it.
  expect(site.seen.some(({ method, url }) => method === "POST" && url === "/v1/transfers")).toBe(true);
  for (const { method, url, headers, body } of site.seen) {
    const all = Buffer.concat([Buffer.from(`${method} ${url} ${JSON.stringify(headers)}`), body]);
    for (const text of [CANARY, CANARY.slice(0, 20), "The train was late"]) expect(carries(all, text), url).toBe(false);
  }
  // The page's own list has them, too: those since the rows were there.
  const listed = await page
    .getByRole("region", { name: "Requests", exact: true })
    .locator("td:nth-child(3)")
    .allTextContents();
  expect(listed.filter((url) => url.endsWith("/v1/transfers"))).toHaveLength(1);
  expect(listed.every((url) => url.startsWith(new URL(page.url()).origin))).toBe(true);
  // Nothing that the page's policy forbids was tried.
  expect(site.said.filter((line) => /content security policy/i.test(line))).toEqual([]);
  // And whatever the thread with the rows tried, it could reach nothing.
  const thread = page.workers().find((worker) => worker.url().endsWith("/tune-worker.js"))!;
  const before = site.seen.length;
  const tries = (address: string) => `fetch(${JSON.stringify(address)}).then(() => "reached", () => "refused")`;
  expect(await thread.evaluate(tries("/v1/students"))).toBe("refused");
  expect(await thread.evaluate(tries(site.provider.url))).toBe("refused");
  expect(site.seen.length).toBe(before);
  await context.close();
});

/** Tunes without privacy, and downloads the prompt. @returns also what was said of the run */
async function tunedPlainly(context: BrowserContext) {
  const page = await site.open(context);
  await pick(page, FEW);
  await page.getByText("As the student reads it").waitFor();
  await page.getByLabel(/^Differential privacy/).uncheck();
  await fill(page, "Virtual tokens", "8");
  await fill(page, "Rows kept back to measure on, in %", "0");
  await fill(page, "Steps", "3");
  await button(page, "Tune").click();
  await page.getByText("This prompt guarantees nothing").waitFor();
  expect(await button(page, "Submit").count()).toBe(0);
  const said = (await page.getByText(/^Computed (on the GPU|with WebAssembly)/).allTextContents()).join();
  const prompt = await readPromptFolder(await downloaded(page, "Download the prompt's folder"));
  await context.close();
  return { ...prompt, said };
}

const largestDifference = (a: Float32Array, b: Float32Array) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

test("without noise, the prompt is the command line's, also where there is a GPU, whatever becomes of it", async () => {
  const gpuProgram = () => site.seen.filter(({ url }) => url.endsWith("/ort-wasm-simd-threaded.jspi.wasm")).length;
  const inTab = await tunedPlainly(await site.context());
  expect([inTab.said, gpuProgram()]).toEqual(["", 0]);

  const folder = temporaryFolder();
  const [task, train, out] = [join(folder, "task.json"), join(folder, FEW.name), join(folder, "prompt")];
  writeFileSync(task, JSON.stringify(inTab.manifest!.task));
  writeFileSync(train, FEW.buffer);
  const how = ["--prompt-tokens", "8", "--steps", "3", "--out", out];
  const tuned = await softpost("tune", "--model", site.student, "--task", task, "--train", train, ...how);
  expect(tuned.code, tuned.stderr).toBe(0);
  const onCommandLine = await readPromptFolder(out);
  expect(inTab.manifest).toMatchObject({ training: onCommandLine.manifest!.training, privacy: null });
  expect(largestDifference(inTab.prompt, onCommandLine.prompt)).toBeLessThan(1e-5);

  // Chromium's GPU in software is a bad one: it may not even answer. Then it isn't taken.
  const besideGpu = await tunedPlainly(await site.gpuContext());
  expect(besideGpu.said).toMatch(/^Computed (on the GPU|with WebAssembly): /);
  expect(gpuProgram()).toBe(1);
  expect(largestDifference(besideGpu.prompt, onCommandLine.prompt)).toBeLessThan(1e-4);
});

test("a tab that is closed in the middle: another one says what is saved and spent, and goes on with the same file only", async () => {
  const context = await site.context();
  const page = await site.open(context);
  await pick(page, JSONL);
  await page.getByText("As the student reads it").waitFor();
  await fill(page, "Virtual tokens", "8");
  await fill(page, "Steps", "400");
  await button(page, "Tune").click();
  await page.getByText(/saved up to step \d+/).waitFor();
  // While this tab has the run, another one doesn't offer it.
  const other = await site.open(context);
  await other.getByText("1 run, together").waitFor();
  expect(await other.getByRole("heading", { name: "Unfinished runs" }).count()).toBe(0);
  await page.close();
  await other.close();

  const later = await site.open(context);
  await later.getByRole("heading", { name: "Unfinished runs" }).waitFor();
  expect(await later.getByText(/\d+ steps? saved/).textContent()).toContain("Its privacy was spent when it began");
  await button(later, "Go on").click();
  const changed = { ...JSONL, buffer: Buffer.concat([JSONL.buffer, Buffer.from(`\n${JSON.stringify(ROWS[0])}`)]) };
  await pick(later, changed);
  await button(later, "Go on with the run").click();
  await later.getByText("this file (rows.jsonl) has another content").waitFor();
  await later.locator("input[type=file]").setInputFiles(JSONL);
  await button(later, "Go on with the run").click();
  await later.getByText(/continuing after step \d+/).waitFor();
  await later.getByText(/^Nothing more was charged/).waitFor();
  await button(later, "Pause: save and stop after this step").click();
  await later.getByText(/Stopped after step \d+/).waitFor();
  await later.getByText("1 run, together").waitFor();

  // The exported ledger is one that the command line reads.
  const home = temporaryFolder();
  const ledger = await downloaded(later, "Export the ledger");
  cpSync(ledger, join(home, "ledger"), { recursive: true });
  const before = process.env.SOFTPOST_HOME;
  process.env.SOFTPOST_HOME = home;
  const file = join(home, "rows.jsonl");
  writeFileSync(file, JSONL.buffer);
  const { stdout, code } = await softpost("--json", "privacy", "ledger", "--data", file);
  process.env.SOFTPOST_HOME = before;
  expect(code, stdout).toBe(0);
  expect(JSON.parse(stdout).ledgers).toMatchObject([{ runs: [{ steps: 400 }] }]);

  await button(later, "Forget it").click();
  await later.getByRole("heading", { name: "Unfinished runs" }).waitFor({ state: "detached" });
  await context.close();
});

test("what is wrong with a file or a student is said, and nothing is lost", async () => {
  const context = await site.context();
  const page = await site.open(context);
  // A connection that ends in the middle: the rest is asked for, and only that.
  site.meddle = async (path, response, to) => {
    if (!path.endsWith("/model.safetensors")) return false;
    const bytes = new Uint8Array(await response.arrayBuffer());
    to.writeHead(200, { "content-length": bytes.length });
    to.write(bytes.subarray(0, 1_000_000), () => setTimeout(() => to.destroy(), 500));
    return true;
  };
  await button(page, "student").click();
  await page
    .getByRole("alert")
    .getByText(/model\.safetensors broke off|network error|fetch/i)
    .waitFor();
  site.meddle = undefined;
  site.seen.length = 0;
  await button(page, "student").click();
  await page.getByText("ready", { exact: true }).waitFor();
  const again = site.seen.find(({ url }) => url.endsWith("/model.safetensors"));
  expect(again?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);

  const bad = Buffer.from(`${JSON.stringify(ROWS[0])}\n{"text": 3}\n`);
  await page.locator("input[type=file]").setInputFiles({ ...JSONL, buffer: bad });
  await page.getByText(/rows\.jsonl:2: Has no "text" that is a string/).waitFor();

  // A provider that sends another model than its catalogue names.
  const stranger = await site.context();
  const fooled = await site.open(stranger);
  site.meddle = async (path, response, to) => {
    if (!path.endsWith("/model.safetensors")) return false;
    const bytes = new Uint8Array(await response.arrayBuffer());
    bytes[bytes.length - 1]! ^= 1;
    to.writeHead(200).end(bytes);
    return true;
  };
  await button(fooled, "student").click();
  await fooled.getByText("another digest than the catalogue says").waitFor();
  site.meddle = undefined;
  await stranger.close();
  await context.close();
});
