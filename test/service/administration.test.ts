import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { DEFAULT_LIMITS } from "../../shared/protocol/administration.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ADMIN, catalogue, OPTIONS, type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

async function ask(method: string, path: string, body?: object, headers: Record<string, string> = ADMIN) {
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
  const response = await fetch(provider.url + path, init);
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

const open = async (body: object) => (await ask("POST", "/v1/admin/tenants", body)).body;
const admin = (tenant: string, path = "") => `/v1/admin/tenants/${tenant}${path}`;
const bearer = (key: string) => ({ authorization: `Bearer ${key}`, "content-type": "application/json" });
const auditOf = async (tenant: string) => (await ask("GET", admin(tenant, "/audit"))).body.entries;

describe("a tenant", () => {
  test("needs a name only; the rest has defaults that are shown, money in the currency", async () => {
    const { status, body } = await ask("POST", "/v1/admin/tenants", { name: "Acme" });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "Acme", suspended: false, retentionDays: null, limits: DEFAULT_LIMITS });
    expect(body.standing).toEqual({
      currency: "USD",
      money: { limit: 100, used: 0, reserved: 0, left: 100 },
      deviceSeconds: { limit: 100_000, used: 0, reserved: 0, left: 100_000 },
      virtualTokens: { limit: 100_000, used: 0, reserved: 0, left: 100_000 },
      concurrent: { limit: 10, used: 0, left: 10 },
      daily: { limit: 100, used: 0, left: 100 },
    });
    expect((await ask("GET", admin(body.id))).body).toEqual(body);
    expect((await open({ name: "Other", limits: { money: 0.25, daily: 3 } })).limits).toEqual({
      ...DEFAULT_LIMITS,
      micros: 250_000,
      daily: 3,
    });
    for (const money of [-1, 0.000_000_1, 1e12, "5"]) {
      expect((await ask("POST", "/v1/admin/tenants", { name: "x", limits: { money } })).status).toBe(422);
    }
  });

  test("has one limit changed at a time, two at once both, and is told what is below its use", async () => {
    const tenant = await provider.tenant({ micros: 5_000_000_000 });
    const patch = (body: object) => ask("PATCH", admin(tenant.id, "/limits"), body);
    const [one, two] = await Promise.all([patch({ money: 7.5 }), patch({ concurrent: 3 })]);
    expect([one.status, two.status]).toEqual([200, 200]);
    expect((await ask("GET", admin(tenant.id))).body.limits).toMatchObject({ micros: 7_500_000, concurrent: 3 });
    expect((await patch({ privacy: { epsilon: 4, delta: 1e-5 } })).body.limits.privacy.epsilon).toBe(4);
    expect((await patch({ privacy: null })).body.limits.privacy).toBeNull();
    await patch({ money: 5000 });
    await tenant.submit(uploadOf(promptOf(1)));
    const { below } = (await patch({ money: 0, virtualTokens: 3, concurrent: 1 })).body;
    expect(below.map(({ budget }: { budget: string }) => budget)).toEqual(["money", "virtualTokens"]);
    expect(below[0].message).toMatch(/^The limit of money is 0 USD, and [\d.]+ USD are spent or reserved/);
    expect((await patch({})).status).toBe(422);
    expect((await patch({ money: 1, micros: 1 })).status).toBe(422);
    expect((await patch({ monney: 1 })).status).toBe(422);
    const [last] = (await auditOf(tenant.id)).slice(-1);
    expect(last).toMatchObject({ actor: "provider", action: "limits.changed" });
    expect(last.detail.to).toEqual({ micros: 0, virtualTokens: 3, concurrent: 1 });
    expect(last.detail.from).toMatchObject({ micros: 5_000_000_000 });
  });

  test("that is suspended gets in nowhere until it is resumed", async () => {
    const tenant = await provider.tenant({}, ["read", "admin"]);
    expect((await ask("PATCH", admin(tenant.id), { suspended: true, name: "New name" })).body).toMatchObject({
      suspended: true,
      name: "New name",
    });
    const { status, body } = await tenant.get("/v1/budget");
    expect([status, body.detail]).toEqual([403, expect.stringContaining("suspended")]);
    expect((await tenant.get(admin(tenant.id, "/keys"))).status).toBe(403);
    const wrong = tenant.key.slice(0, -1) + (tenant.key.endsWith("A") ? "B" : "A");
    expect((await ask("GET", "/v1/budget", undefined, bearer(wrong))).status).toBe(401);
    await ask("PATCH", admin(tenant.id), { suspended: false });
    expect((await tenant.get("/v1/budget")).status).toBe(200);
    expect(JSON.stringify(await auditOf(tenant.id))).not.toContain("New name");
  });

  test("is seen by its provider with its data sets' privacy, too", async () => {
    const tenant = await provider.tenant();
    await tenant.submit(uploadOf(promptOf(2)));
    expect((await ask("GET", admin(tenant.id, "/budget"))).body).toEqual((await tenant.get("/v1/budget")).body);
    const { body } = await ask("GET", "/v1/admin/tenants");
    const found = body.tenants.find(({ id }: { id: string }) => id === tenant.id);
    expect(found.standing.money.reserved).toBeGreaterThan(0);
  });
});

describe("keys", () => {
  test("are rotated with an overlap, and the new one has the old one's name and scopes", async () => {
    const { id } = await open({ name: "Keys" });
    const made = (await ask("POST", admin(id, "/keys"), { name: "ci", scopes: ["read"], days: 30 })).body;
    const rotate = (key: string, overlapSeconds: number) =>
      ask("POST", admin(id, `/keys/${key}/rotate`), { overlapSeconds });
    const { status, body: next } = await rotate(made.id, 3600);
    expect(status).toBe(201);
    for (const { key } of [made, next]) {
      expect((await ask("GET", "/v1/budget", undefined, bearer(key))).status).toBe(200);
    }
    const { keys } = (await ask("GET", admin(id, "/keys"))).body;
    expect(keys).toMatchObject([
      { id: made.id, name: "ci", scopes: ["read"], lastUsed: expect.any(String) },
      { id: next.id, name: "ci", scopes: ["read"], lastUsed: expect.any(String) },
    ]);
    const inHours = (Date.parse(keys[0].expires) - Date.now()) / 3_600_000;
    expect(inHours).toBeGreaterThan(0.9);
    expect(inHours).toBeLessThan(1.1);
    expect((Date.parse(keys[1].expires) - Date.now()) / 86_400_000).toBeGreaterThan(29);
    // Without an overlap the old one is dead at once, and says so.
    const last = (await rotate(next.id, 0)).body;
    const { status: dead, body } = await ask("GET", "/v1/budget", undefined, bearer(next.key));
    expect([dead, body.detail]).toEqual([401, expect.stringContaining("expired")]);
    expect((await ask("GET", "/v1/budget", undefined, bearer(last.key))).status).toBe(200);
    expect((await rotate(next.id, 0)).status).toBe(404);
    // A rotation never makes the old one live longer.
    await rotate(made.id, 30 * 86_400);
    const again = (await ask("GET", admin(id, "/keys"))).body.keys;
    expect(again[0].expires).toBe(keys[0].expires);
  });

  test("the last of which that administers stays, unless that is meant", async () => {
    const tenant = await provider.tenant({}, ["admin", "read"]);
    const own = bearer(tenant.key);
    const [first] = (await ask("GET", admin(tenant.id, "/keys"), undefined, own)).body.keys;
    const revoke = (key: string, query = "") => ask("DELETE", admin(tenant.id, `/keys/${key}${query}`), undefined, own);
    await ask("POST", admin(tenant.id, "/keys"), { name: "reader", scopes: ["read"] }, own);
    const refused = await revoke(first.id);
    expect([refused.status, refused.body.detail]).toEqual([409, expect.stringContaining("force=true")]);
    const { body: other } = await ask("POST", admin(tenant.id, "/keys"), { name: "b", scopes: ["admin"] }, own);
    expect((await revoke(other.id)).status).toBe(204);
    expect((await revoke(first.id)).status).toBe(409);
    expect((await revoke(first.id, "?force=true")).status).toBe(204);
    expect((await ask("GET", admin(tenant.id, "/keys"), undefined, own)).status).toBe(401);
    const deeds = (await auditOf(tenant.id)).map(({ actor, action, target }: Record<string, string>) => [
      ...[actor, action, target],
    ]);
    expect(deeds).toContainEqual([first.id, "key.revoked", first.id]);
    expect(deeds).toContainEqual([first.id, "key.created", other.id]);
  });
});

test("the audit log pages, belongs to its tenant, and outlives it", async () => {
  const tenant = await provider.tenant({}, ["admin"]);
  const other = await provider.tenant({}, ["admin"]);
  const all = await auditOf(tenant.id);
  expect(all.map(({ action }: { action: string }) => action)).toEqual(["tenant.created", "key.created"]);
  const { body: rest } = await ask("GET", admin(tenant.id, `/audit?after=${all[0].sequence}`));
  expect(rest).toEqual({ entries: all.slice(1), has_more: false });
  expect((await ask("GET", admin(tenant.id, "/audit"), undefined, bearer(tenant.key))).body.entries).toEqual(all);
  expect((await ask("GET", admin(tenant.id, "/audit"), undefined, bearer(other.key))).status).toBe(403);
  expect((await ask("GET", "/v1/admin/audit", undefined, bearer(tenant.key))).status).toBe(401);
  await ask("DELETE", admin(tenant.id));
  expect((await auditOf(tenant.id)).map(({ action }: { action: string }) => action)).toEqual([
    ...["tenant.created", "key.created", "tenant.deleted"],
  ]);
  const own = (await ask("GET", "/v1/admin/audit")).body.entries;
  expect(own.filter(({ target }: { target: string }) => target === tenant.id)).toMatchObject([
    { actor: "provider", action: "tenant.created" },
    { actor: "provider", action: "tenant.deleted" },
  ]);
  expect(JSON.stringify([all, own])).not.toContain(tenant.key.slice(-43));
});

test("usage is what the ledger's settlements of the month add up to, by key and student, of deleted tenants too", async () => {
  const tenant = await provider.tenant();
  const { body: second } = await ask("POST", admin(tenant.id, "/keys"), { name: "=cmd()", scopes: ["submit"] });
  const month = new Date().toISOString().slice(0, 7);
  const { body: one } = await tenant.submit(uploadOf(promptOf(1)));
  const init = { method: "POST", headers: { authorization: `Bearer ${second.key}` }, body: uploadOf(promptOf(2)) };
  const { body: two } = await provider.fetchJson("/v1/transfers", init);
  const files = [{ name: "x", size: 1, sha256: "a".repeat(64) }];
  for (const [{ id }, deviceSeconds] of [
    [one, 12.5],
    [two, 3],
  ] as const) {
    const folder = bucket.job(`${tenant.id}-${id}`);
    await provider.store.write(`${folder}result.json`, JSON.stringify({ files, deviceSeconds, device: "CPU" }));
  }
  const { body: three } = await tenant.submit(uploadOf(promptOf(3)));
  await tenant.cancel(three.id);
  await tenant.cancel(one.id);
  await tenant.cancel(two.id);
  const { body } = await ask("GET", admin(tenant.id, `/usage?month=${month}`));
  const [first] = (await ask("GET", admin(tenant.id, "/keys"))).body.keys;
  const shared = { month, tenant: tenant.id, tenantName: "test", kind: "transfer", model: "small", count: 1 };
  expect(body.currency).toBe("USD");
  const byName = [...body.usage].sort((a, b) => a.micros - b.micros);
  expect(byName).toEqual([
    { ...shared, key: second.id, keyName: "=cmd()", refunded: 0, micros: 3000, deviceSeconds: 3, virtualTokens: 4 },
    { ...shared, key: first.id, keyName: "key", refunded: 1, micros: 13_000, deviceSeconds: 13, virtualTokens: 4 },
  ]);
  const { body: budget } = await tenant.get("/v1/budget");
  expect(budget.money.used).toBe(16_000);
  const { body: daily } = await ask("GET", admin(tenant.id, `/usage/days?month=${month}`));
  expect(daily).toMatchObject({ currency: "USD", month });
  const sum = (field: string) =>
    daily.days.reduce((total: number, row: Record<string, number>) => total + row[field]!, 0);
  expect(["transfers", "deviceSeconds", "requests", "tokens", "micros"].map(sum)).toEqual([2, 16, 0, 0, 16_000]);
  expect(daily.days.every(({ day }: { day: string }) => day.startsWith(month))).toBe(true);
  expect((await ask("GET", admin(tenant.id, "/usage/days?month=2026-01"))).body.days).toEqual([]);
  expect((await ask("GET", admin(tenant.id, "/usage?month=2026-01"))).body.usage).toEqual([]);
  for (const wrong of ["2026-13", "2026", "x"]) {
    expect((await ask("GET", `/v1/admin/usage?month=${wrong}`)).status).toBe(400);
  }
  await ask("DELETE", admin(tenant.id));
  const all = (await ask("GET", "/v1/admin/usage")).body.usage.filter(
    (row: { tenant: string }) => row.tenant === tenant.id,
  );
  expect(all.map(({ micros }: { micros: number }) => micros).sort()).toEqual([13_000, 3000]);
  expect(all[0].tenantName).toBeNull();
});

describe("the catalogue", () => {
  test("takes only what is in the bucket; what is retired is told to new submissions, and can come back", async () => {
    const set = { ...catalogue.publicSets[0]!, id: "fresh", digest: "f".repeat(64) };
    const post = () => ask("POST", "/v1/admin/catalogue/public-sets", set);
    const missing = await post();
    expect([missing.status, missing.body.faults[0].at]).toEqual([422, bucket.publicSet(set.digest)]);
    const auto = await ask("POST", "/v1/admin/catalogue/public-sets", { ...set, id: "auto" });
    expect([auto.status, auto.body.title]).toEqual([422, "The name can't be used"]);
    await provider.store.write(bucket.publicSet(set.digest), "{}");
    expect((await post()).status).toBe(201);
    const tenant = await provider.tenant();
    const submit = async () => tenant.submit(uploadOf(promptOf(1), { ...OPTIONS, publicSet: "fresh" }));
    expect((await submit()).status).toBe(202);
    const retire = (retired: boolean) => ask("PATCH", "/v1/admin/catalogue/public-sets/fresh", { retired });
    expect((await retire(true)).status).toBe(204);
    const told = await submit();
    expect([told.status, told.body.faults[0].message]).toEqual([422, expect.stringContaining("retired")]);
    await retire(false);
    expect((await submit()).status).toBe(202);
    expect((await ask("PATCH", "/v1/admin/catalogue/students/none", { retired: true })).status).toBe(404);
    const deeds = (await ask("GET", "/v1/admin/audit")).body.entries.map(({ action }: { action: string }) => action);
    expect(deeds).toEqual(
      expect.arrayContaining(["public-set.published", "public-set.retired", "public-set.reinstated"]),
    );
  });

  test("keeps the changes of several who make them at one time", async () => {
    const sets = ["p", "q", "r"].map((id) => ({ ...catalogue.publicSets[0]!, id, digest: "f".repeat(64) }));
    const answers = await Promise.all(sets.map((set) => ask("POST", "/v1/admin/catalogue/public-sets", set)));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    const tenant = await provider.tenant();
    const { publicSets } = (await tenant.get("/v1/public-sets")).body;
    expect(publicSets.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(["news", "p", "q", "r"]));
  });
});
