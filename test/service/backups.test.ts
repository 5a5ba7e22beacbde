/** A drill: ledgers are backed up, lost, and put back. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { softpost } from "../helpers/softpost.ts";
import {
  faultyBundle,
  PRIVACY,
  type Provider,
  promptOf,
  startProvider,
  type TenantClient,
  uploadOf,
} from "./provider.ts";

const ADMIN = { authorization: "Bearer admin-secret" };
const key = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64");

const BACKUP_KEY = key();

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle(), undefined, { BACKUP_KEY });
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

const post = async (path: string) => {
  const response = await fetch(provider.url + path, { method: "POST", headers: ADMIN });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
};
const everything = async (tenant: TenantClient) => ({
  budget: (await tenant.get("/v1/budget")).body,
  ledger: (await tenant.get("/v1/ledger")).body,
  transfers: (await tenant.get("/v1/transfers")).body,
});
const submit = async (tenant: TenantClient, seed: number) =>
  (await tenant.submit(uploadOf(promptOf(seed, { privacy: PRIVACY })))).body.id as string;

test("a ledger that is lost comes back whole from a backup, and its keys work", async () => {
  const tenant = await provider.tenant({ privacy: { epsilon: 10, delta: 1e-5 } }, ["read", "submit", "admin"]);
  const ids = [await submit(tenant, 1), await submit(tenant, 2)];
  await tenant.cancel(ids[0]!);
  const before = await everything(tenant);
  const { status, body: made } = await post("/v1/admin/backups");
  expect([status, made.tenants]).toEqual([201, expect.arrayContaining([tenant.id])]);

  // Nobody reads it who has the bucket only.
  const keys = await provider.store.list(`backups/${made.name}/${tenant.id}/`);
  expect(keys.length).toBeGreaterThan(5);
  for (const each of keys) {
    const bytes = Buffer.from(await provider.store.need(each));
    for (const word of [tenant.id, "set-1", "micros", "sp_"]) expect(bytes.includes(word)).toBe(false);
  }

  // Lost: closed by mistake, and with it keys, limits and names.
  await fetch(`${provider.url}/v1/admin/tenants/${tenant.id}`, { method: "DELETE", headers: ADMIN });
  expect((await tenant.get("/v1/budget")).status).toBe(401);
  expect((await post(`/v1/admin/backups/${made.name}/tenants/${tenant.id}/restore`)).status).toBe(204);
  expect(await everything(tenant)).toEqual(before);
  expect(await tenant.ledgerAddsUp()).toBe(true);
  // What is under way in the backup is looked after again: its objects are gone, so it ends and is paid back.
  await provider.worker.reconcile();
  const found = (await tenant.get(`/v1/transfers/${ids[1]}`)).body;
  expect([found.state, found.cost]).toEqual(["failed", { deviceSeconds: 0, micros: 0 }]);
  expect(await tenant.ledgerAddsUp()).toBe(true);
});

describe("a ledger with large rows", () => {
  const cipherKey = Buffer.from(BACKUP_KEY, "base64");

  async function open(path: string) {
    const whole = Buffer.from(await provider.store.need(path));
    const decipher = createDecipheriv("aes-256-gcm", cipherKey, whole.subarray(0, 12)).setAAD(Buffer.from(path));
    decipher.setAuthTag(whole.subarray(-16));
    return JSON.parse(
      gunzipSync(Buffer.concat([decipher.update(whole.subarray(12, -16)), decipher.final()])).toString(),
    );
  }

  async function seal(path: string, value: object) {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", cipherKey, iv).setAAD(Buffer.from(path));
    const sealed = [iv, cipher.update(gzipSync(JSON.stringify(value))), cipher.final(), cipher.getAuthTag()];
    await provider.store.write(path, Buffer.concat(sealed));
  }

  test.each(["this release", "one that took 200 rows an object"])("comes back from a backup of %s", async (release) => {
    const tenant = await provider.tenant();
    await submit(tenant, 1);
    await provider.fetchJson(`/test/swell/${tenant.id}/230`);
    const before = await everything(tenant);
    const { body: made } = await post("/v1/admin/backups");
    const folder = `backups/${made.name}/${tenant.id}/`;
    const { chunks, schema } = await open(`${folder}end`);
    const parts = await Promise.all(Array.from({ length: chunks }, (_, i) => open(folder + i)));
    for (const part of parts) expect(JSON.stringify(part).length).toBeLessThan(600_000);
    if (release !== "this release") {
      const tables = [...Map.groupBy(parts, ({ table }) => table)];
      const old = tables.flatMap(([table, those]) => {
        const rows = those.flatMap((part) => part.rows);
        return [rows.slice(0, 200), rows.slice(200)]
          .filter(({ length }) => length > 0)
          .map((some) => ({ table, rows: some }));
      });
      expect(Math.max(...old.map((part) => JSON.stringify(part).length))).toBeGreaterThan(3_000_000);
      for (const [i, part] of old.entries()) await seal(folder + i, part);
      await seal(`${folder}end`, { chunks: old.length, schema });
    }
    await fetch(`${provider.url}/v1/admin/tenants/${tenant.id}`, { method: "DELETE", headers: ADMIN });
    expect((await post(`/v1/admin/backups/${made.name}/tenants/${tenant.id}/restore`)).status).toBe(204);
    expect(await everything(tenant)).toEqual(before);
    expect((await tenant.get("/v1/budget")).body.daily.used).toBe(231);
  });
});

test("what was released after a backup stays released, and the audit log only grows", async () => {
  const tenant = await provider.tenant({ privacy: { epsilon: 10, delta: 1e-5 } });
  await submit(tenant, 1);
  const { body: made } = await post("/v1/admin/backups");
  await submit(tenant, 2);
  const { privacy } = (await tenant.get("/v1/budget")).body;
  const audit = async () =>
    (await provider.fetchJson(`/v1/admin/tenants/${tenant.id}/audit`, { headers: ADMIN })).body.entries;
  const entries = await audit();
  await post(`/v1/admin/backups/${made.name}/tenants/${tenant.id}/restore`);
  expect((await tenant.get("/v1/transfers")).body.transfers).toHaveLength(1);
  expect((await tenant.get("/v1/budget")).body.privacy).toEqual(privacy);
  expect(await audit()).toEqual(entries);
});

test("a backup that was cut off, moved to another tenant or changed is refused, and the ledger stays", async () => {
  const [tenant, other] = [await provider.tenant(), await provider.tenant({ daily: 7 })];
  await submit(tenant, 1);
  const { body: made } = await post("/v1/admin/backups");
  const before = await everything(tenant);
  const restore = (name = made.name, id = tenant.id) => post(`/v1/admin/backups/${name}/tenants/${id}/restore`);
  expect((await restore("2020-01-01")).status).toBe(404);
  expect((await restore("../x")).status).toBe(404);
  const folder = `backups/${made.name}/${tenant.id}/`;
  const whole = await provider.store.need(`${folder}0`);
  await provider.store.write(`${folder}0`, await provider.store.need(`backups/${made.name}/${other.id}/0`));
  const moved = await restore();
  expect([moved.status, moved.body.title]).toEqual([422, "The backup can't be read"]);
  const bent = new Uint8Array(whole);
  bent[20]! ^= 1;
  await provider.store.write(`${folder}0`, bent);
  expect((await restore()).status).toBe(422);
  await provider.store.remove(`${folder}end`);
  expect((await restore()).status).toBe(404);
  expect(await everything(tenant)).toEqual(before);
});

test("one is made every day by the scheduled run, and old ones go", async () => {
  const tenant = await provider.tenant();
  await provider.store.write(`backups/2020-01-01/${tenant.id}/end`, "old");
  await provider.worker.reconcile();
  const day = new Date().toISOString().slice(0, 10);
  const args = ["--url", provider.url, "--secret-file", `${provider.folder}/secret`];
  writeFileSync(args[3]!, "admin-secret", { mode: 0o600 });
  const { stdout, code } = await softpost("admin", "backups", ...args);
  expect(code).toBe(0);
  // The day's may have been made by an earlier test's run, before this tenant was there.
  expect(stdout).toContain(`${day}: `);
  const made = await softpost("--json", "admin", "backups", "create", ...args);
  const { name, tenants } = JSON.parse(made.stdout);
  expect(tenants).toContain(tenant.id);
  const refused = await softpost("admin", "backups", "restore", name, tenant.id, ...args);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--confirm")]);
  const restored = await softpost("admin", "backups", "restore", name, tenant.id, "--confirm", tenant.id, ...args);
  expect(restored.code).toBe(0);
});

test("without a key there are none, and that is said", async () => {
  const bare = await startProvider(await loadBundle());
  try {
    const response = await fetch(`${bare.url}/v1/admin/backups`, { method: "POST", headers: ADMIN });
    await bare.tenant();
    const again = await fetch(`${bare.url}/v1/admin/backups`, { method: "POST", headers: ADMIN });
    expect(again.status).toBe(409);
    expect(await again.text()).toContain("BACKUP_KEY");
    await response.body?.cancel();
    await bare.worker.reconcile();
  } finally {
    await bare.close();
  }
});
