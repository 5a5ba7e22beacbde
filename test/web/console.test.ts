/** The console in a browser, with a real provider: each view, from a submission to the transferred prompt. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, unzipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveConsole } from "../../client/console/serve-console.ts";
import { consoleFolder } from "../../infra/local/bundle.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { drop, expectAccessible, openPage, picture, type Watched } from "./browser.ts";
import { launch } from "./chromium.ts";
import { startWebProvider, type WebProvider } from "./provider.ts";

const TEXT = "a canary in the playground";

let folder: string;
let browser: Browser;
let provider: WebProvider;
let watched: Watched;
let page: Page;
const origin = () => provider.served.url;
const api = async <T>(path: string, key = provider.served.key) =>
  (await (await fetch(origin() + path, { headers: { authorization: `Bearer ${key}` } })).json()) as T;
const heading = (name: string) => page.getByRole("heading", { level: 1, name });
const open = async (name: string) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await heading(name).waitFor();
};
const button = (name: string | RegExp) => page.getByRole("button", { name });

async function signIn(key: string): Promise<void> {
  await page.getByLabel("API key").fill(key);
  await button("Sign in").click();
}

async function choose(folder: string): Promise<void> {
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), button("Choose a prompt folder").click()]);
  await chooser.setFiles(folder);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-console-"));
  [browser, provider] = await Promise.all([launch(), startWebProvider(folder)]);
  watched = await openPage(browser);
  page = watched.page;
});

afterAll(async () => {
  await browser?.close();
  await provider?.served.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test("a key that is wrong is said so, and one that is right opens the views", async () => {
  await page.goto(origin());
  await picture(page, "sign-in");
  await signIn(`sp_${"a".repeat(16)}_${"a".repeat(16)}_${"a".repeat(43)}`);
  await page.getByText("The API key is not known or was revoked.").waitFor();
  await signIn(provider.served.key);
  await page.getByRole("heading", { name: "Target tiny-gpt2" }).waitFor();
  expect(page.url()).not.toContain("sp_");
  expect(await page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length")).toBe(0);
  // The status of the wrong key is all that the console complained of.
  expect(watched.complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
});

test("views without anything in them say what to do", async () => {
  await open("Transfers");
  await page.getByText("Nothing was submitted yet.").waitFor();
  await picture(page, "transfers-empty");
  await open("Budgets");
  await page.getByText("No prompt was released yet").waitFor();
  await page.getByText("No model was asked in the last month.").waitFor();
  await picture(page, "budgets-empty");
});

test("the catalogue has sizes, digests and prices", async () => {
  await open("Catalogue");
  await page.getByText("an hour, on CPU").waitFor();
  const { students } = await api<{ students: { digest: string }[] }>("/v1/students");
  await page
    .getByText(`${students[0]!.digest.slice(0, 12)}…`)
    .first()
    .click();
  await page.getByText(students[0]!.digest).first().waitFor();
  await picture(page, "catalogue");
});

test("a folder that is no prompt is refused in the page, by file and line", async () => {
  await open("Submit a prompt");
  const wrong = temporaryFolder();
  writeFileSync(join(wrong, "softpost.json"), "{}");
  await choose(wrong);
  await page.getByText("adapter_model.safetensors").waitFor();
  const files = ["adapter_config.json", "adapter_model.safetensors"];
  for (const name of files) writeFileSync(join(wrong, name), readFileSync(join(provider.prompts.plain, name)));
  const manifest = JSON.parse(readFileSync(join(provider.prompts.plain, "softpost.json"), "utf8"));
  manifest.prompt.virtualTokens = 5;
  writeFileSync(join(wrong, "softpost.json"), JSON.stringify(manifest));
  await choose(wrong);
  await page.getByLabel("Data set").fill("set one");
  await button(/^Check/).click();
  await page.getByText("softpost.json#/prompt/virtualTokens").waitFor();
  await page.getByText("options#/dataset").waitFor();
  await picture(page, "submit-faults");
});

test("a prompt without privacy is quoted, and refused by the budget before anything is sent", async () => {
  await choose(provider.prompts.plain);
  await page.getByText("none: it was tuned without differential privacy").waitFor();
  await page.getByLabel("Data set").fill("set-2");
  await page.getByLabel("Public texts").selectOption("news");
  await button(/^Check/).click();
  await button("Ask for a quote").click();
  await page.getByText("A budget would be passed").waitFor();
  await page.getByLabel("Send it all the same").check();
  expect(await button("Submit").isDisabled()).toBe(true);
  expect(watched.requests.filter((url) => url.endsWith("/v1/transfers"))).toEqual([]);
});

let transfer: Transfer;

test("a private prompt that is dropped is checked, shown to the last byte, quoted, submitted, and followed to its end", async () => {
  await drop(page, page.getByRole("region", { name: "Choose a prompt folder" }), provider.prompts.private);
  await page.getByLabel("Data set").fill("set-1");
  await page.getByText("Steps, batch").click();
  await page.getByLabel("Steps", { exact: true }).fill("60");
  await button(/^Check/).click();
  await page.getByRole("heading", { name: /All \d+ bytes/ }).waitFor();
  await button("Ask for a quote").click();
  await page.getByText("Set aside until it has finished").waitFor();
  await picture(page, "submit");
  const shown = Number((await page.getByRole("heading", { name: /All \d+ bytes/ }).textContent())!.match(/\d+/)![0]);
  const [request] = await Promise.all([page.waitForRequest(/\/v1\/transfers$/), button("Submit").click()]);
  expect(request.postDataBuffer()!.length).toBe(shown);
  await page.waitForURL(/#\/transfers\/[a-z2-7]{16}$/);
  await page.getByText("succeeded", { exact: true }).waitFor({ timeout: 120_000 });
  const id = page.url().split("/").at(-1)!;
  transfer = await api<Transfer>(`/v1/transfers/${id}`);
  // Its losses came as events, and the figure has them all.
  await page.getByText("As a table").click();
  await page
    .getByRole("cell", { name: String(Number(transfer.losses.at(-1)!.loss.toPrecision(4))) })
    .first()
    .waitFor();
  await picture(page, "transfer");
});

test("the PEFT folder is downloaded as a zip, byte for byte", async () => {
  const [download] = await Promise.all([page.waitForEvent("download"), button(/^Download the PEFT folder/).click()]);
  const files = unzipSync(readFileSync(await download.path()));
  const digests = Object.entries(files).map(([name, bytes]) => [
    name,
    createHash("sha256").update(bytes).digest("hex"),
  ]);
  expect(Object.fromEntries(digests)).toEqual(
    Object.fromEntries(transfer.files.map(({ name, sha256 }) => [name, sha256])),
  );
});

test("budgets show what it cost, and the privacy of its data set as a curve with the limit", async () => {
  await open("Budgets");
  await page.getByText(/1 prompt released: together ε \d/).waitFor();
  await page.getByText("The limit of each data set is ε 30").waitFor();
  await page.getByText("One more release like the last one would make it").waitFor();
  const { privacy } = await api<Budget>("/v1/budget");
  const curve = page.getByRole("figure", { name: /ε of set-1/ });
  await curve.getByText("As a table").click();
  // The page composes the same records to the same ε as the ledger.
  const shown = await curve.getByRole("row", { name: /^1 / }).getByRole("cell").first().textContent();
  expect(Number(shown)).toBeCloseTo(privacy.datasets[0]!.epsilon!, 2);
  await picture(page, "budgets");
});

test("the playground labels a text with the prompt, and shows the bare target beside it", async () => {
  await open("Playground");
  await picture(page, "playground-empty");
  await page.getByLabel("Text", { exact: true }).fill(TEXT);
  await button("Ask").click();
  await page.getByRole("heading", { name: "The bare target" }).waitFor();
  const answered = page.getByRole("region", { name: "With the prompt" });
  await expect.poll(() => answered.getByRole("listitem").count()).toBe(2);
  const headers = { authorization: `Bearer ${provider.served.key}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: `tiny-gpt2:${transfer.id}`, input: [TEXT] });
  const answer = await fetch(`${origin()}/v1/classify`, { method: "POST", headers, body });
  const { data } = (await answer.json()) as { data: { label: string }[] };
  await answered.getByText(data[0]!.label, { exact: true }).first().waitFor();
  // The bare target is asked for the same labels, and says something else of them.
  const bare = page.getByRole("region", { name: "The bare target" });
  await expect.poll(() => bare.getByRole("listitem").count()).toBe(2);
  const shares = (of: typeof bare) => of.getByRole("listitem").allTextContents();
  expect((await shares(bare)).toSorted()).not.toEqual((await shares(answered)).toSorted());
  await picture(page, "playground");
  await page.getByLabel("Prompt or model").selectOption("tiny-gpt2");
  await button("Ask").click();
  await page.getByText("It ended at the most tokens").waitFor();
});

test("a transfer is cancelled once that is confirmed, and is paid for no more than it took", async () => {
  await open("Submit a prompt");
  await choose(provider.prompts.private);
  await page.getByLabel("Data set").fill("set-3");
  await page.getByLabel("Public texts").selectOption("news");
  await page.getByText("Steps, batch").click();
  await page.getByLabel("Steps", { exact: true }).fill("5000");
  await button(/^Check/).click();
  await button("Ask for a quote").click();
  await button("Submit").click();
  await page.waitForURL(/#\/transfers\/[a-z2-7]{16}$/);
  await button("Cancel the transfer …").click();
  expect((await api<Transfer>(`/v1/transfers/${page.url().split("/").at(-1)}`)).state).not.toMatch(/^cancel/);
  await button("Cancel it").click();
  await page.getByText("cancelled", { exact: true }).waitFor({ timeout: 120_000 });
  await picture(page, "transfer-cancelled");
});

test("off line the page says so and keeps what it shows; when the network is back all is there again", async () => {
  await open("Catalogue");
  await page.getByText("an hour, on CPU").waitFor();
  await page.context().setOffline(true);
  await page.getByText("This browser is off line").waitFor();
  await page.getByText("an hour, on CPU").waitFor();
  await picture(page, "offline");
  await open("Tune here");
  await page.getByText("This view couldn't be loaded").waitFor();
  await page.context().setOffline(false);
  await page.getByText("This browser is off line").waitFor({ state: "detached" });
  await open("Budgets");
  await page.getByText("1 prompt released").first().waitFor();
});

test("the Worker sends the thread that has the rows with a policy by which it can reach nothing", async () => {
  const policy = async (name: string) =>
    (await fetch(`${origin()}/console/${name}`)).headers.get("content-security-policy")!;
  for (const name of ["tune-worker.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.jspi.mjs"]) {
    expect(await policy(name)).toBe("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'");
  }
  expect(await policy("")).toContain("connect-src 'self'");
  expect(await policy("download-worker.js")).toContain("connect-src 'self'");
  await open("Tune here");
  await expect.poll(() => page.workers().length).toBeGreaterThanOrEqual(2);
  const thread = (name: string) => page.workers().find((worker) => worker.url().endsWith(name))!;
  const tries = `fetch("/v1/students").then(({ status }) => status, () => "refused")`;
  expect(await thread("/download-worker.js").evaluate(tries)).toBe(401);
  expect(await thread("/tune-worker.js").evaluate(tries)).toBe("refused");
  const expected = /status of 401|ERR_INTERNET_DISCONNECTED|content security policy/i;
  expect(watched.complaints.splice(0).filter((text) => !expected.test(text))).toEqual([]);
});

test("with the admin secret keys are made and revoked, and limits set; the key works as its scopes say", async () => {
  await open("Keys and tenants");
  await page.getByLabel("Admin secret, or an admin key").fill("wrong");
  await button("Open").click();
  await page.getByText("The admin secret is wrong.").waitFor();
  await page.getByLabel("Admin secret, or an admin key").fill(provider.served.key.slice(0, -1));
  await button("Open").click();
  await page.getByText("Copy all of it.").waitFor();
  await page.getByLabel("Admin secret, or an admin key").fill(String(provider.served.result.adminSecret));
  await button("Open").click();
  await button("local").waitFor();
  await picture(page, "tenants");
  await button("local").click();
  await page.getByLabel("Key's name").fill("reader");
  await page.getByLabel(/^submit:/).uncheck();
  await button("Make the key").click();
  const key = (await page.locator(".secret").textContent())!;
  expect((await api<Budget>("/v1/budget", key)).currency).toBe("USD");
  await picture(page, "tenant");
  await page.getByLabel("Transfers a day").fill("7");
  await button("Set the limits").click();
  await expect.poll(async () => (await api<Budget>("/v1/budget")).daily.limit).toBe(7);

  // A key that may only read sees all, and is told what it may not.
  const reader = await openPage(browser);
  const other = reader.page;
  await other.goto(`${origin()}/console/#/transfers/${transfer.id}`);
  await other.getByLabel("API key").fill(key);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("button", { name: "Delete …" }).click();
  await other.getByRole("button", { name: "Delete it" }).click();
  await other.getByText('The API key lacks the scope "submit".').waitFor();
  await button("Revoke reader").click();
  await button("Really revoke reader").click();
  await page.getByText("revoked", { exact: true }).waitFor();
  await other.getByRole("link", { name: "Budgets" }).click();
  await other.getByText("The API key is not known or was revoked.").waitFor();
  await expectAccessible(other);
  await other.context().close();
});

test("a tenant's admin key opens its own keys and usage, and a key without the scope is told so", async () => {
  await button("Forget the secret").click();
  await button("Use the key that I signed in with").click();
  await page.getByText("Your own tenant").waitFor();
  await page.getByRole("rowheader", { name: "reader" }).waitFor();
  await page.getByRole("heading", { name: "Usage by day" }).waitFor();
  await picture(page, "own-tenant");
  const id = /^sp_([a-z2-7]+)_/.exec(provider.served.key)![1];
  const made = await fetch(`${origin()}/v1/admin/tenants/${id}/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${provider.served.key}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "looks on", scopes: ["read"] }),
  });
  await button("Forget the key").click();
  await page.getByLabel("Admin secret, or an admin key").fill(((await made.json()) as { key: string }).key);
  await button("Open").click();
  await page.getByText('The API key lacks the scope "admin".').waitFor();
});

test("nothing went to another address, and no policy was broken", () => {
  const elsewhere = watched.requests.filter((url) => !url.startsWith(`${origin()}/`) && !/^(blob|data):/.test(url));
  expect(elsewhere).toEqual([]);
  const expected = /status of 40[13]/;
  expect(watched.complaints.filter((text) => !expected.test(text))).toEqual([]);
});

test("the page of softpost ui does the same, and connects to its own address only", async () => {
  const running = await serveConsole(consoleFolder()!, origin(), 0);
  const own = await openPage(browser);
  await own.page.goto(running.url);
  await own.page.getByText("Page from your own package").waitFor();
  expect(await own.page.evaluate("crossOriginIsolated")).toBe(true);
  await own.page.getByLabel("API key").fill(provider.served.key);
  await own.page.getByRole("button", { name: "Sign in" }).click();
  await own.page.getByRole("heading", { name: "Target tiny-gpt2" }).waitFor();
  // The address alone changes: the key stays in memory.
  await own.page.goto(`${running.url}#/transfers/${transfer.id}`);
  const [download] = await Promise.all([
    own.page.waitForEvent("download"),
    own.page.getByRole("button", { name: /^Download/ }).click(),
  ]);
  expect(Object.keys(unzipSync(readFileSync(await download.path())))).toContain("adapter_model.safetensors");
  expect(own.complaints).toEqual([]);
  const elsewhere = own.requests.filter(
    (url) => !url.startsWith(new URL(running.url).origin) && !url.startsWith("blob:"),
  );
  expect(elsewhere).toEqual([]);
  await own.page.context().close();
  await running.close();
});

test("what a page loads first is small; nothing moves", async () => {
  const fresh = await openPage(browser);
  await fresh.page.goto(`${origin()}/console/`);
  await fresh.page.getByLabel("API key").waitFor();
  const sizes = (await fresh.page.evaluate(
    `performance.getEntriesByType("resource").map(({ name }) => name)`,
  )) as string[];
  const files = await Promise.all(
    sizes.map(async (url) => gzipSync(new Uint8Array(await (await fetch(url)).arrayBuffer())).length),
  );
  expect(files.reduce((sum, size) => sum + size, 0)).toBeLessThan(150_000);
  const shift = `new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().reduce((sum, { value }) => sum + value, 0)))
    .observe({ type: "layout-shift", buffered: true }) ?? setTimeout(() => done(0), 200))`;
  expect(await fresh.page.evaluate(shift)).toBeLessThan(0.05);
  await fresh.page.context().close();
});

test("a provider that goes away is said so, and what was there stays until it is back", async () => {
  await open("Budgets");
  await page.getByText("1 prompt released").first().waitFor();
  await provider.served.end("SIGTERM");
  await button("Load again").click();
  await page.getByText("The provider can't be reached").first().waitFor();
  await page.getByText("1 prompt released").first().waitFor();
  await picture(page, "provider-gone");
  Object.assign(provider, { served: await provider.restart() });
  await button("Try again").first().click();
  await expect.poll(() => page.getByText("The provider can't be reached").count()).toBe(0);
});
