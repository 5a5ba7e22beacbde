/** Uploads of texts for predictions: what is checked, stored, refused and removed. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ADMIN, faultyBundle, type Provider, startProvider, type TenantClient } from "./provider.ts";
import { transferred } from "./transferred.ts";

let provider: Provider;
let tenant: TenantClient;
let transfer: string;
let model: string;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle(), undefined, {
    SERVING_URLS: JSON.stringify({ large: "http://127.0.0.1:1" }),
    BATCH_PREDICT_DEFINITION: "softpost-transfer",
  });
  tenant = await provider.tenant();
  transfer = (await transferred(provider, tenant, 1)).id;
  model = `large:${transfer}`;
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

const send = (who: TenantClient, body: string | Uint8Array<ArrayBuffer>, name = model, more = {}) =>
  provider.fetchJson(`/v1/predictions?model=${name}`, {
    method: "POST",
    headers: { ...who.headers, "content-type": "application/jsonl", ...more },
    body,
  });
const stored = async (who: TenantClient) =>
  (await provider.store.list(bucket.jobsOf(who.id))).filter((key) => !key.includes(transfer));

test("a file is stored as it came, reserved for, and removed when its job is cancelled", async () => {
  const texts = `${Array.from({ length: 50_000 }, (_, i) => JSON.stringify({ text: `text é ${i}` })).join("\n")}\n`;
  const { status, body } = await send(tenant, texts);
  expect([status, body.state, body.model]).toEqual([202, "queued", model]);
  const key = `${bucket.job(`${tenant.id}-${body.id}`)}texts.jsonl`;
  expect(Buffer.from(await provider.store.need(key)).toString()).toBe(texts);
  const spec = await provider.store.readJson(`${bucket.job(`${tenant.id}-${body.id}`)}spec.json`);
  expect(spec).toMatchObject({
    kind: "predict",
    own: true,
    data: { examples: 50_000 },
    prompt: `${tenant.id}-${transfer}`,
  });
  expect((await tenant.get("/v1/budget")).body.deviceSeconds.reserved).toBe(body.reserved.deviceSeconds);
  expect((await tenant.get(`/v1/transfers/${body.id}`)).status).toBe(404);
  const other = await provider.tenant();
  const cancel = (who: TenantClient) =>
    provider.fetchJson(`/v1/predictions/${body.id}`, { method: "DELETE", headers: who.headers });
  expect((await cancel(other)).status).toBe(404);
  expect((await cancel(tenant)).body.state).toBe("cancelled");
  expect(await stored(tenant)).not.toContain(key);
  expect((await tenant.get("/v1/budget")).body.deviceSeconds.reserved).toBe(0);
  expect(await tenant.ledgerAddsUp()).toBe(true);
});

test("what is wrong with a file is said by line and never quoted, and nothing is kept of it", async () => {
  const before = await stored(tenant);
  const rows = ['{"text":"secret"}', "", "secret", '{"text":1}', "[]"].join("\n");
  const wrong = await send(tenant, rows);
  expect([wrong.status, wrong.body.faults.map(({ at }: { at: string }) => at)]).toEqual([
    422,
    ["body:3", "body:4", "body:5"],
  ]);
  expect(JSON.stringify(wrong.body)).not.toContain("secret");
  expect((await send(tenant, "\n\n")).status).toBe(422);
  expect((await send(tenant, new Uint8Array([0x7b, 0xff, 0xfe]))).status).toBe(422);
  expect((await send(tenant, `{"text":"${"x".repeat(1_100_000)}"}`)).status).toBe(422);
  expect((await send(tenant, '{"text":"x"}', "large")).status).toBe(400);
  expect((await send(tenant, '{"text":"x"}', "none")).status).toBe(404);
  expect(await stored(tenant)).toEqual(before);
  expect((await tenant.get("/v1/predictions")).body.predictions).toHaveLength(1);
});

test("sent again with its key it is one job, paid once; the key is taken for other texts", async () => {
  const own = await provider.tenant();
  const { id } = await transferred(provider, own, 7);
  const before = (await own.get("/v1/budget")).body.deviceSeconds.reserved;
  const once = (text: string, key = "mine") =>
    send(own, JSON.stringify({ text }), `large:${id}`, { "idempotency-key": key });
  const answers = await Promise.all(["a", "a", "a"].map((text) => once(text)));
  answers.push(await once("a"));
  expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  const [first, ...others] = new Set(answers.map(({ body }) => body.id));
  expect(others).toEqual([]);
  const texts = async () => (await provider.store.list(bucket.jobsOf(own.id))).filter((key) => key.includes("texts"));
  expect(await texts()).toEqual([`${bucket.job(`${own.id}-${first}`)}texts.jsonl`]);
  const { reserved } = answers[0]!.body;
  expect((await own.get("/v1/budget")).body.deviceSeconds.reserved).toBe(before + reserved.deviceSeconds);

  const other = await once("b");
  expect([other.status, other.body.title]).toEqual([422, "The idempotency key is taken"]);
  expect(await texts()).toHaveLength(1);
  expect((await once("b", "another")).body.id).not.toBe(first);
  expect((await once("b", "no key")).status).toBe(400);
  expect((await own.get("/v1/predictions")).body.predictions).toHaveLength(2);
});

test("past a budget, or of another tenant's prompt, nothing is kept", async () => {
  const other = await provider.tenant();
  expect((await send(other, '{"text":"x"}')).status).toBe(404);
  const poor = await provider.tenant({});
  const mine = await transferred(provider, poor, 2);
  const { body: budget } = await poor.get("/v1/budget");
  const limits = {
    micros: budget.money.used,
    deviceSeconds: 1e6,
    virtualTokens: 1e6,
    concurrent: 10,
    daily: 10,
    privacy: null,
  };
  const init = { method: "PUT", headers: ADMIN, body: JSON.stringify(limits) };
  await provider.fetchJson(`/v1/admin/tenants/${poor.id}/limits`, init);
  const refused = await send(poor, '{"text":"x"}', `large:${mine.id}`);
  expect([refused.status, refused.body.faults[0].at]).toEqual([402, "budget/money"]);
  expect((await provider.store.list(bucket.jobsOf(poor.id))).filter((key) => key.includes("texts"))).toEqual([]);
});

test("results go after the days that a tenant keeps them, with its transfers, however many there are", async () => {
  const own = await provider.tenant({}, ["read", "submit", "infer"]);
  const { id } = await transferred(provider, own, 9);
  await provider.define(["sleep", "60"]);
  const ids: string[] = [];
  for (let i = 0; i < 21; i++) ids.push((await send(own, '{"text":"x"}', `large:${id}`)).body.id);
  const folder = bucket.job(`${own.id}-${ids[0]}`);
  const file = { name: "predictions.jsonl", size: 2, sha256: "a".repeat(64) };
  await provider.store.write(`${folder}output/${file.name}`, "{}");
  await provider.store.write(`${folder}result.json`, JSON.stringify({ files: [file], deviceSeconds: 1 }));
  for (const each of ids) {
    await provider.fetchJson(`/v1/predictions/${each}`, { method: "DELETE", headers: own.headers });
  }
  const result = () => provider.fetchJson(`/v1/predictions/${ids[0]}/files/none`, { headers: own.headers });
  expect((await result()).status).toBe(404);
  const last = (await transferred(provider, own, 10)).id;
  const keep = (retentionDays: number | null) =>
    provider.fetchJson(`/v1/admin/tenants/${own.id}`, {
      method: "PATCH",
      headers: ADMIN,
      body: JSON.stringify({ retentionDays }),
    });
  await provider.fetchJson(`/test/age/${own.id}/${3 * 86_400_000}`);
  for (let turn = 0; turn < 2; turn++) {
    await keep(null);
    await keep(2);
    await provider.worker.reconcile();
  }
  expect((await own.get(`/v1/transfers/${last}`)).body.deleted).toEqual(expect.any(String));
  expect(await provider.store.list(bucket.jobsOf(own.id))).toEqual([]);
  const gone = await result();
  expect([gone.status, gone.body.title]).toEqual([410, "Deleted"]);
  expect(await own.ledgerAddsUp()).toBe(true);
  const { entries } = (await provider.fetchJson(`/v1/admin/tenants/${own.id}/audit`, { headers: ADMIN })).body;
  expect(entries).toContainEqual(expect.objectContaining({ action: "prediction.deleted", target: ids[0] }));
  expect((await own.remove(ids[0]!)).status).toBe(404);
});

test("sent again with its key it is answered as it was, also when the prompt is gone and the budget spent", async () => {
  const own = await provider.tenant();
  const { id } = await transferred(provider, own, 11);
  await provider.define(["sleep", "60"]);
  const once = (text: string, key = "mine") =>
    send(own, JSON.stringify({ text }), `large:${id}`, { "idempotency-key": key });
  const first = await once("a");
  await own.remove(id);
  const again = await once("a");
  expect([again.status, again.body.id]).toEqual([202, first.body.id]);
  expect((await once("b")).body.title).toBe("The idempotency key is taken");
  expect((await once("a", "another")).status).toBe(404);
  const texts = (await provider.store.list(bucket.jobsOf(own.id))).filter((key) => key.includes("texts"));
  expect(texts).toEqual([`${bucket.job(`${own.id}-${first.body.id}`)}texts.jsonl`]);
});

test("their job is stopped after some minutes or thrice what is reserved: it does no others' work", async () => {
  const { body } = await send(tenant, '{"text":"x"}');
  const folder = join(provider.folder, "batch", "jobs");
  const jobs = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
  const timeoutOf = (id: string) => jobs.find(({ jobName }) => jobName === `${tenant.id}-${id}`).timeout;
  const seconds = Math.max(600, 3 * body.reserved.deviceSeconds);
  expect(timeoutOf(body.id)).toEqual({ attemptDurationSeconds: seconds });
  expect(timeoutOf(transfer).attemptDurationSeconds).toBeGreaterThanOrEqual(1800 + 600);
});

describe("texts for which nothing is reserved", () => {
  test("aren't read from a tenant without a budget", async () => {
    const poor = await provider.tenant();
    const { id } = await transferred(provider, poor, 12);
    await provider.fetchJson(`/v1/admin/tenants/${poor.id}/limits`, {
      method: "PATCH",
      headers: { ...ADMIN, "content-type": "application/json" },
      body: JSON.stringify({ micros: 0 }),
    });
    const refused = await send(poor, "no row", `large:${id}`);
    expect([refused.status, refused.body.faults[0].at]).toEqual([402, "budget/money"]);
  });

  test("are removed by the scheduled run when their request was interrupted", async () => {
    const own = await provider.tenant();
    const { id } = await transferred(provider, own, 13);
    const texts = async () => (await provider.store.list(bucket.jobsOf(own.id))).filter((key) => key.includes("texts"));
    const gone = new AbortController();
    const lost = fetch(`${provider.url}/v1/predictions?model=large:${id}`, {
      method: "POST",
      headers: { ...own.headers, "content-type": "application/jsonl", "x-test-fault": "lost texts.jsonl" },
      body: '{"text":"private"}',
      signal: gone.signal,
    });
    await expect.poll(texts, { timeout: 30_000 }).toHaveLength(1);
    gone.abort();
    await expect(lost).rejects.toThrow();
    await provider.worker.reconcile();
    expect(await texts()).toHaveLength(1);
    await provider.fetchJson(`/test/age/${own.id}/3600000`);
    await provider.worker.reconcile();
    expect(await texts()).toEqual([]);
  });

  test("any more are removed, and get no job", async () => {
    const own = await provider.tenant();
    const { id } = await transferred(provider, own, 14);
    const before = provider.door.submits;
    const late = await send(own, '{"text":"x"}', `large:${id}`, { "x-test-fault": "late spec.json" });
    expect([late.status, provider.door.submits - before]).toEqual([502, 0]);
    const keys = await provider.store.list(bucket.jobsOf(own.id));
    expect(keys.filter((key) => key.includes("texts"))).toEqual([]);
    expect(await own.ledgerAddsUp()).toBe(true);
  });
});
