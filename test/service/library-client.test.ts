/** Every method of the library's client against a provider, its types against the provider's OpenAPI description. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { OPERATIONS } from "../../client/api/operations.ts";
import { loadBundle } from "../../infra/local/bundle.ts";
import { Client, type CompletionEvent, ProblemError, type Transfer } from "../../library/client.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { OPTIONS, type Provider, promptOf, startProvider, type TenantClient } from "./provider.ts";
import { type Double, startDouble } from "./serving-double.ts";
import { transferred } from "./transferred.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

let double: Double;
let provider: Provider;
let tenant: TenantClient;
let client: Client;

beforeAll(async () => {
  double = await startDouble();
  provider = await startProvider(await loadBundle(), undefined, {
    SERVING_URLS: JSON.stringify({ large: double.url }),
  });
  double.reportUrl = provider.url;
});

afterAll(async () => {
  await provider.close();
  await double.close();
});

beforeEach(async () => {
  tenant = await provider.tenant();
  client = new Client({ url: provider.url, key: tenant.key });
});

const problem = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable(),
    (error) => {
      expect(error).toBeInstanceOf(ProblemError);
      return error as ProblemError;
    },
  );

test("what the provider offers", async () => {
  const students = await client.students();
  expect(students.map(({ id }) => id)).toEqual(["small", "old"]);
  expect(await client.student("small")).toEqual(students[0]);
  expect((await client.publicSets()).map(({ id }) => id)).toEqual(["news"]);
  expect((await problem(client.student("none"))).status).toBe(404);
});

test("from a quote to a removed transfer, each step typed", async () => {
  await provider.define(["sleep", "60"]);
  const submission = await client.submission(promptOf(1), OPTIONS, { name: "first", metadata: { a: "b" } });
  expect((await client.quote(submission)).refusals).toEqual([]);
  const transfer = await client.submit(submission);
  // The same submission again is the same transfer.
  expect((await client.submit(submission)).id).toBe(transfer.id);
  expect((await client.transfer(transfer.id)).name).toBe("first");
  expect((await client.transfers({ limit: "1" })).transfers.map(({ id }) => id)).toEqual([transfer.id]);
  expect((await problem(client.download(transfer.id))).code).toBe("there-is-nothing-to-download");
  await client.cancel(transfer.id);
  expect(await last(client.wait(transfer.id))).toMatchObject({ id: transfer.id, state: "cancelled" });
  expect((await client.remove(transfer.id)).id).toBe(transfer.id);
  expect((await client.budget()).money.reserved).toBe(0);
});

test("a transferred prompt is downloaded with its digests", async () => {
  const { id } = await transferred(provider, tenant, 2);
  const files = await client.download(id);
  expect(Object.keys(files).sort()).toEqual(["adapter_model.safetensors", "softpost.json"]);
  expect(await sha256(files["adapter_model.safetensors"]!)).toBe(promptOf(2).manifest.prompt.digest);
});

test("waiting goes on over a provider that restarts, and ends when it is stopped", { timeout: 120_000 }, async () => {
  await provider.define(["sleep", "60"]);
  const { id } = await client.submit(await client.submission(promptOf(3), OPTIONS));
  const events = client.wait(id);
  expect((await events.next()).value).toMatchObject({ id });
  await provider.restartWorker();
  await client.cancel(id);
  expect((await last(events))?.state).toBe("cancelled");

  const other = await client.submit(await client.submission(promptOf(4), OPTIONS));
  const stop = new AbortController();
  const watched = client.wait(other.id, { signal: stop.signal });
  await watched.next();
  const waiting = last(watched);
  stop.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await client.cancel(other.id);
});

test("models are asked, and what they used is counted", async () => {
  const { id } = await transferred(provider, tenant, 5);
  const name = `large:${id}`;
  expect((await client.models()).map((model) => model.id)).toEqual(["large", name]);
  expect((await client.model(name)).root).toBe(name);
  Object.assign(double, { tokens: 3, pauseMs: 0 });
  const events: CompletionEvent[] = [];
  for await (const event of client.complete({ model: name, prompt: "Hello" })) events.push(event);
  expect(events.flatMap((event) => (event.kind === "text" ? [event.text] : [])).join("")).toBe(" t1 t2 t3");
  expect(events.at(-1)?.kind).toBe("end");
  expect((await client.classify(name, ["a", "b"])).map(({ label }) => label)).toHaveLength(2);
  expect((await problem(client.classify("large:none", ["a"]))).status).toBe(404);
  await expect.poll(async () => (await client.usage()).rows.length).toBeGreaterThan(0);
});

test("every method is stopped by its signal, and says so with the signal's reason", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  const submission = await client.submission(promptOf(6), OPTIONS);
  const id = "a".repeat(16);
  const calls = [
    client.students({ signal }),
    client.student("small", { signal }),
    client.publicSets({ signal }),
    client.quote(submission, { signal }),
    client.submission(promptOf(6), OPTIONS, { signal }),
    client.submit(submission, { signal }),
    client.transfers({}, { signal }),
    client.transfer(id, { signal }),
    client.wait(id, { signal }).next(),
    client.download(id, { signal }),
    client.cancel(id, { signal }),
    client.remove(id, { signal }),
    client.budget({ signal }),
    client.usage({ signal }),
    client.models({ signal }),
    client.model("large", { signal }),
    client.complete({ model: "large", prompt: "a" }, { signal }).next(),
    client.classify("large", ["a"], { signal }),
  ];
  for (const call of await Promise.allSettled(calls)) {
    expect(call.status === "rejected" && call.reason.message).toBe("enough");
  }
});

test("errors have the provider's codes", async () => {
  const stranger = new Client({ url: provider.url, key: "sp_none" });
  expect(await problem(stranger.budget())).toMatchObject({ status: 401, code: "not-authenticated" });
  const wrong = await client.submission(promptOf(7), { ...OPTIONS, publicSet: "none" });
  expect((await problem(client.quote(wrong))).status).toBe(422);
  const nobody = new Client({ url: "http://127.0.0.1:1", key: "k" });
  expect(await problem(nobody.students())).toMatchObject({ status: 503, code: "the-provider-can-t-be-reached" });
});

test("the compiler finds every answer of the OpenAPI description to be what the client reads", async () => {
  const description = (await provider.fetchJson("/openapi.json")).body;
  for (const [id, { method, path }] of Object.entries(OPERATIONS)) {
    const [, described] = Object.entries<{ operationId: string }>(description.paths).find(
      ([each]) => each.replace(/\{\w+\}/, "{id}") === path,
    )!;
    expect(described).toHaveProperty([method.toLowerCase(), "operationId"], id);
  }
  const folder = temporaryFolder();
  writeFileSync(join(folder, "openapi.ts"), astToString(await openapiTS(description)));
  writeFileSync(join(folder, "openapi.ts"), astToString(await openapiTS(description)));
  const check = readFileSync(join(ROOT, "test/service/openapi-check.ts.txt"), "utf8").replaceAll("ROOT", ROOT);
  writeFileSync(join(folder, "check.ts"), check);
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024", "--skipLibCheck"];
  const args = [join(ROOT, "node_modules/typescript/bin/tsc"), ...options, "--allowImportingTsExtensions"];
  const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
  const { stdout } = spawnSync(process.execPath, [...args, ...types, "check.ts"], { cwd: folder, encoding: "utf8" });
  expect(stdout).toBe("");
});

async function last(events: AsyncGenerator<Transfer, void>): Promise<Transfer | undefined> {
  let seen: Transfer | undefined;
  for await (const event of events) seen = event;
  return seen;
}
