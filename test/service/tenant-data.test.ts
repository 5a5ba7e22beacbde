import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ADMIN, faultyBundle, LIMITS, PRIVACY, type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

// biome-ignore lint/suspicious/noExplicitAny: the tests say what is in it
type Line = Record<string, any>;

async function exported(tenant: string, headers: Record<string, string> = ADMIN): Promise<Line[]> {
  const response = await fetch(`${provider.url}/v1/admin/tenants/${tenant}/export`, { headers });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/octet-stream"]);
  const text = await response.text();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const remove = (tenant: string) =>
  provider.fetchJson(`/v1/admin/tenants/${tenant}`, { method: "DELETE", headers: ADMIN });
const folders = (tenant: string) => provider.store.list(bucket.jobsOf(tenant));

test("an export has all that is stored of a tenant and nobody else's, and no secret", async () => {
  const tenant = await provider.tenant({}, ["read", "submit", "admin"]);
  const other = await provider.tenant();
  const prompt = promptOf(1);
  const { body } = await tenant.submit(uploadOf(prompt), { "idempotency-key": "my-key" });
  await other.submit(uploadOf(promptOf(2)));
  const lines = await exported(tenant.id);
  expect(lines.at(-1)).toEqual({ end: true, lines: lines.length - 1 });
  const rows = (table: string) => lines.filter((line) => line.table === table);
  expect(rows("account")).toMatchObject([{ name: "test" }]);
  expect(rows("keys")).toMatchObject([{ name: "key", revoked: null }]);
  expect(rows("transfers")).toMatchObject([{ id: body.id, idempotency_key: "my-key", state: "queued" }]);
  expect(rows("releases")).toMatchObject([{ dataset: "set-1", prompt_digest: prompt.manifest.prompt.digest }]);
  expect(rows("entries")).toMatchObject([{ transfer: body.id, kind: "reserve" }]);

  const objects = lines.filter((line) => line.object !== undefined);
  expect(objects.map(({ object }) => object)).toEqual(await folders(tenant.id));
  for (const { object, base64 } of objects) {
    const stored = Buffer.from(await provider.store.need(object));
    if (object.endsWith(jobFiles.spec)) {
      const { report, ...spec } = JSON.parse(stored.toString());
      expect(report.token).toHaveLength(43);
      expect(JSON.parse(Buffer.from(base64, "base64").toString())).toEqual(spec);
    } else {
      expect(base64).toBe(stored.toString("base64"));
    }
  }
  const text = JSON.stringify(lines);
  expect(text).not.toContain(other.id);
  expect(text).not.toContain(tenant.key.slice(-43));
  expect(text).not.toMatch(/"hash"|"token"/);
  // A tenant's own admin may have it too, and no one else.
  expect(await exported(tenant.id, tenant.headers)).toEqual(lines);
  expect((await other.get(`/v1/admin/tenants/${tenant.id}/export`)).status).toBe(403);
  expect((await provider.fetchJson(`/v1/admin/tenants/${"a".repeat(16)}/export`, { headers: ADMIN })).status).toBe(404);
});

test("a deletion ends what runs and leaves nothing but what it says that it keeps", async () => {
  const tenant = await provider.tenant({}, ["read", "submit", "admin"]);
  const { body } = await tenant.submit(uploadOf(promptOf(3, { privacy: PRIVACY })), { "idempotency-key": "my-key" });
  expect(body.state).toBe("queued");
  const job = `${tenant.id}-${body.id}`;

  const { status, body: closed } = await remove(tenant.id);
  expect(status).toBe(200);
  expect(closed.objects).toBeGreaterThan(3);
  expect(closed.kept.datasets).toMatchObject([{ dataset: "set-1", prompts: 1, epsilon: expect.any(Number) }]);
  expect(await folders(tenant.id)).toEqual([]);
  expect(await provider.store.list("waiting/")).not.toContainEqual(expect.stringContaining(tenant.id));
  expect(await provider.batchStatus(job)).toBe("FAILED");
  expect((await tenant.get("/v1/budget")).status).toBe(401);
  const { body: all } = await provider.fetchJson("/v1/admin/tenants", { headers: ADMIN });
  expect(JSON.stringify(all)).not.toContain(tenant.id);
  expect((await remove(tenant.id)).status).toBe(404);

  const lines = await exported(tenant.id);
  expect(lines.map(({ table }) => table)).toEqual([
    "transfers",
    "releases",
    "entries",
    "entries",
    ...["audit", "audit", "audit"],
    undefined,
  ]);
  expect(lines[0]).toMatchObject({ state: "cancelled", idempotency_key: `closed ${body.id}`, fingerprint: "" });
  expect(lines[0]).toMatchObject({ progress: null, losses: "[]", files: "[]", problem: null });
});

test("what a job still writes after its tenant was deleted is swept away", async () => {
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(4)));
  await remove(tenant.id);
  await provider.store.write(`${bucket.job(`${tenant.id}-${body.id}`)}${jobFiles.checkpoint}000000000001`, "late");
  await provider.worker.reconcile();
  expect(await folders(tenant.id)).toEqual([]);
});

test("an account whose opening again stops in the middle can be opened again, or closed", async () => {
  const tenant = await provider.tenant();
  await remove(tenant.id);
  const body = JSON.stringify({ name: "again", id: tenant.id });
  const reopen = (fault?: string) =>
    fetch(`${provider.url}/v1/admin/tenants`, {
      method: "POST",
      headers: { ...ADMIN, ...(fault && { "x-test-fault": fault }) },
      body,
    });
  expect((await reopen(`put ${tenant.id}.json`)).status).toBe(500);
  expect((await reopen()).status).toBe(201);
  expect((await reopen()).status).toBe(404);
  expect((await remove(tenant.id)).status).toBe(200);
});

test("usage has an account once while it is being closed", async () => {
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(1)));
  await provider.store.write(`${bucket.job(`${tenant.id}-${body.id}`)}${jobFiles.result}`, RESULT);
  await tenant.cancel(body.id);
  const rows = async () => {
    const { usage } = (await provider.fetchJson("/v1/admin/usage", { headers: ADMIN })).body;
    return usage.filter((row: { tenant: string }) => row.tenant === tenant.id).length;
  };
  expect(await rows()).toBe(1);
  await provider.store.write(bucket.closed(tenant.id), "-");
  expect(await rows()).toBe(1);
});

const RESULT = JSON.stringify({ files: [], deviceSeconds: 2, device: "CPU" });

test("an account that is opened again goes on with what was released", async () => {
  const privacy = { epsilon: 1e3, delta: 1e-5 };
  const tenant = await provider.tenant({ privacy });
  await tenant.submit(uploadOf(promptOf(5, { privacy: PRIVACY })));
  const { body: closed } = await remove(tenant.id);
  const open = (body: object) =>
    provider.fetchJson("/v1/admin/tenants", { method: "POST", headers: ADMIN, body: JSON.stringify(body) });
  const again = { name: "back", limits: { ...LIMITS, privacy }, id: tenant.id };
  expect((await open({ ...again, id: "a".repeat(16) })).status).toBe(404);
  expect((await open(again)).status).toBe(201);
  expect((await open(again)).status).toBe(404);
  const { body: key } = await provider.fetchJson(`/v1/admin/tenants/${tenant.id}/keys`, {
    method: "POST",
    headers: ADMIN,
    body: JSON.stringify({ name: "new", scopes: ["read"] }),
  });
  const { body: budget } = await provider.fetchJson("/v1/budget", { headers: { authorization: `Bearer ${key.key}` } });
  expect(budget.privacy.datasets).toEqual(closed.kept.datasets);
  expect(budget.money).toMatchObject({ used: 0, reserved: 0 });
});

test("while Batch can't be reached, keys are dead already, and the deletion is tried again", async () => {
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(6)));
  provider.door.mode = "cut";
  const { status, body: problem } = await remove(tenant.id);
  provider.door.mode = "open";
  expect([status, problem.title]).toEqual([503, "The account can't be closed yet"]);
  expect((await tenant.get(`/v1/transfers/${body.id}`)).status).toBe(401);
  expect((await remove(tenant.id)).status).toBe(200);
});

test("a ledger that has no history is not set back, and stays as it is", async () => {
  const tenant = await provider.tenant();
  const path = `/v1/admin/tenants/${tenant.id}/restore`;
  const post = (body: object) =>
    provider.fetchJson(path, { method: "POST", headers: ADMIN, body: JSON.stringify(body) });
  expect(await post({ at: new Date().toISOString() })).toMatchObject({
    status: 409,
    body: { title: "The ledger can't be set back" },
  });
  expect((await post({ at: "yesterday" })).status).toBe(422);
  expect((await tenant.get("/v1/budget")).status).toBe(200);
});

test("the Worker's log tells what happened, by ids and numbers only", async () => {
  const log = readFileSync(join(provider.folder, "worker.log"), "utf8");
  const events = log
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  expect(events.filter(({ event }) => event === "cancelled").length).toBeGreaterThan(0);
  expect(log).not.toContain("set-1");
  expect(log).not.toContain("my-key");
  expect(log).not.toContain("It was");
});
