/** What becomes of transfers as records: names, lists, deletion, retention, and the prompt as one file. */
import { createHash } from "node:crypto";
import { unzipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import {
  ADMIN,
  faultyBundle,
  OPTIONS,
  type Provider,
  promptOf,
  startProvider,
  type TenantClient,
  uploadOf,
} from "./provider.ts";

const DAY_MS = 86_400_000;

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

const folder = (tenant: TenantClient, id: string) => bucket.job(`${tenant.id}-${id}`);
const specOf = async (tenant: TenantClient, id: string) =>
  Buffer.from(await provider.store.need(`${folder(tenant, id)}spec.json`)).toString();
const objects = (tenant: TenantClient) => provider.store.list(bucket.jobsOf(tenant.id));
const age = (tenant: TenantClient, milliseconds: number) =>
  provider.fetchJson(`/test/age/${tenant.id}/${milliseconds}`);

async function submit(tenant: TenantClient, seed: number, labels?: unknown, options = {}): Promise<Transfer> {
  const form = uploadOf(promptOf(seed), { ...OPTIONS, ...options });
  if (labels !== undefined) form.set("labels", JSON.stringify(labels));
  const { status, body } = await tenant.submit(form);
  expect(status).toBe(202);
  return body;
}

/** Writes what a job writes that is done. */
async function finish(tenant: TenantClient, id: string, contents: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const files = Object.entries(contents).map(([name, bytes]) => ({
    name,
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }));
  for (const [name, bytes] of Object.entries(contents)) {
    await provider.store.write(`${folder(tenant, id)}output/${name}`, bytes);
  }
  const result = { files, deviceSeconds: 2.5, device: "CPU" };
  await provider.store.write(`${folder(tenant, id)}result.json`, JSON.stringify(result));
}

/** A transfer that succeeded; a cancellation is a way to have its result looked at. */
async function succeed(
  tenant: TenantClient,
  seed: number,
  contents: Readonly<Record<string, Uint8Array>> = { x: Buffer.from("x") },
) {
  const { id } = await submit(tenant, seed);
  await finish(tenant, id, contents);
  expect((await tenant.cancel(id)).body.state).toBe("succeeded");
  return id;
}

describe("a name and metadata", () => {
  test("are the client's own: shown to it, and to no job", async () => {
    const tenant = await provider.tenant();
    const labels = { name: "Third try", metadata: { commit: "1f3c9a2", __proto__x: "y" } };
    const { id } = await submit(tenant, 1, labels);
    expect((await tenant.get(`/v1/transfers/${id}`)).body).toMatchObject(labels);
    const spec = await specOf(tenant, id);
    expect(spec).not.toMatch(/Third try|1f3c9a2/);
    expect((await submit(tenant, 2)).metadata).toEqual({});
  });

  test("are bounded, and a part of what an idempotency key stands for", async () => {
    const tenant = await provider.tenant();
    const send = async (labels: unknown, key?: string) => {
      const form = uploadOf(promptOf(1));
      form.set("labels", JSON.stringify(labels));
      return tenant.submit(form, key === undefined ? {} : { "idempotency-key": key });
    };
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"]));
    for (const labels of [
      { metadata: many },
      { metadata: { k: 1 } },
      { name: "" },
      { other: 1 },
      { metadata: { k: "x".repeat(513) } },
    ]) {
      const { status, body } = await send(labels);
      expect([status, body.faults[0].at]).toEqual([422, expect.stringMatching(/^labels#/)]);
    }
    const first = await send({ name: "a" }, "key");
    expect((await send({ name: "a" }, "key")).body.id).toBe(first.body.id);
    expect((await send({ name: "b" }, "key")).status).toBe(422);
  });
});

test("lists are filtered and paged, and say whether there is more", async () => {
  const tenant = await provider.tenant();
  const made: string[] = [];
  for (let seed = 0; seed < 5; seed++) {
    made.unshift((await submit(tenant, seed, undefined, { dataset: seed % 2 === 0 ? "even" : "odd" })).id);
  }
  const list = async (query: string) => (await tenant.get(`/v1/transfers?${query}`)).body;
  const ids = ({ transfers }: { transfers: Transfer[] }) => transfers.map(({ id }) => id);
  const one = await list("limit=2");
  expect([ids(one), one.has_more, one.cursor]).toEqual([made.slice(0, 2), true, made[1]]);
  const two = await list(`limit=3&cursor=${one.cursor}`);
  expect([ids(two), two.has_more, two.cursor]).toEqual([made.slice(2), false, null]);
  expect(ids(await list("dataset=odd"))).toEqual([made[1], made[3]]);
  const even = await list("dataset=even&limit=2");
  expect(ids(await list(`dataset=even&limit=2&cursor=${even.cursor}`))).toEqual([made[4]]);
  await tenant.cancel(made[2]!);
  expect(ids(await list("state=cancelled"))).toEqual([made[2]]);
  expect(ids(await list("student=small&state=queued"))).toHaveLength(4);
  expect(ids(await list("student=other"))).toEqual([]);
  const [newest] = one.transfers as Transfer[];
  expect(ids(await list(`created_after=${newest!.created}`))).toEqual([]);
  expect(ids(await list("created_after=2026-01-01T00:00:00Z"))).toHaveLength(5);
  for (const wrong of [
    "limit=0",
    "limit=101",
    "limit=x",
    "state=done",
    "created_after=yesterday",
    "before=x",
    "stat=queued",
  ]) {
    expect((await tenant.get(`/v1/transfers?${wrong}`)).status).toBe(400);
  }
});

describe("a deletion", () => {
  test("of a succeeded transfer removes prompt and files at once, and keeps what it cost and released", async () => {
    const tenant = await provider.tenant();
    const id = await succeed(tenant, 1);
    const before = (await tenant.get("/v1/budget")).body;
    const { status, body } = await tenant.remove(id);
    expect([status, body.files, body.cost]).toEqual([200, [], { deviceSeconds: 3, micros: 3000 }]);
    expect(Date.now() - Date.parse(body.deleted)).toBeLessThan(60_000);
    expect(await objects(tenant)).toEqual([]);
    expect((await tenant.get("/v1/budget")).body).toEqual(before);
    expect(await tenant.ledgerAddsUp()).toBe(true);
    for (const path of ["prompt/x", "prompt.zip"]) {
      const gone = await tenant.get(`/v1/transfers/${id}/${path}`);
      expect([gone.status, gone.body.title]).toEqual([410, "Deleted"]);
    }
    const again = await tenant.remove(id);
    expect([again.status, again.body.deleted]).toEqual([200, body.deleted]);
    expect((await tenant.get("/v1/transfers")).body.transfers[0]).toMatchObject({ id, deleted: body.deleted });
  });

  test.each(["queued", "running", "cancelled", "failed"])(
    "of a %s one leaves nothing in the bucket, and the ledger exact",
    async (state) => {
      const tenant = await provider.tenant();
      const { id } = await submit(tenant, 1, { name: "mine", metadata: { a: "b" } });
      const spec = JSON.parse(await specOf(tenant, id));
      const report = (event: object) =>
        fetch(`${provider.url}/internal/jobs/${tenant.id}-${id}/events`, {
          method: "POST",
          headers: { authorization: `Bearer ${spec.report.token}`, "content-type": "application/json" },
          body: JSON.stringify({ attempt: 1, sequence: 1, progress: null, ...event }),
        });
      if (state === "running") await report({ state: "running", deviceSeconds: 4 });
      if (state === "failed") await report({ state: "failed", problem: "It broke." });
      if (state === "cancelled") await tenant.cancel(id);
      await provider.store.write(`${folder(tenant, id)}checkpoint/000000000001`, "half");
      const { status, body } = await tenant.remove(id);
      expect([status, body.state]).toEqual([200, state === "failed" ? "failed" : "cancelled"]);
      expect(body.cost.deviceSeconds).toBe(state === "running" ? 4 : 0);
      expect([body.name, body.metadata, body.progress]).toEqual([null, {}, null]);
      expect(await objects(tenant)).toEqual([]);
      expect((await provider.store.list("waiting/")).filter((key) => key.includes(tenant.id))).toEqual([]);
      expect(await tenant.ledgerAddsUp()).toBe(true);
      // What comes late is not believed, and what is written late is removed.
      await report({ state: "succeeded", sequence: 2 });
      await finish(tenant, id, { x: Buffer.from("late") });
      await age(tenant, DAY_MS / 2);
      await provider.worker.reconcile();
      expect(await objects(tenant)).toEqual([]);
      expect((await tenant.get(`/v1/transfers/${id}`)).body).toMatchObject({
        state: body.state,
        files: [],
        cost: body.cost,
      });
    },
  );

  test("while Batch can't be reached is made good as soon as it can", async () => {
    const tenant = await provider.tenant();
    const { id } = await submit(tenant, 1);
    provider.door.mode = "cut";
    const { status, body } = await tenant.remove(id);
    provider.door.mode = "open";
    expect([status, body.state]).toEqual([202, "cancelling"]);
    await provider.worker.reconcile();
    await provider.worker.reconcile();
    expect((await tenant.get(`/v1/transfers/${id}`)).body.state).toBe("cancelled");
    expect(await objects(tenant)).toEqual([]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("in a race with the end of the job has one outcome, and leaves nothing", async () => {
    const tenant = await provider.tenant();
    const made = await Promise.all(Array.from({ length: 8 }, (_, seed) => submit(tenant, seed)));
    await Promise.all(
      made.flatMap(({ id }, i) => [
        finish(tenant, id, { x: Buffer.alloc(100_000 * i) }),
        tenant.remove(id),
        tenant.cancel(id),
        provider.worker.reconcile(),
      ]),
    );
    await age(tenant, DAY_MS / 2);
    await provider.worker.reconcile();
    const { transfers } = (await tenant.get("/v1/transfers")).body as { transfers: Transfer[] };
    expect(transfers).toHaveLength(8);
    for (const { state, deleted, files } of transfers) {
      expect(["succeeded", "cancelled"]).toContain(state);
      expect([deleted, files]).toEqual([expect.any(String), []]);
    }
    expect(await objects(tenant)).toEqual([]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("during a download gives whole bytes or an end, never others", async () => {
    const tenant = await provider.tenant();
    const bytes = new Uint8Array(3_000_000).map((_, i) => i % 251);
    const id = await succeed(tenant, 1, { x: bytes });
    const response = await fetch(`${provider.url}/v1/transfers/${id}/prompt/x`, { headers: tenant.headers });
    const reader = response.body!.getReader();
    const { value } = await reader.read();
    await tenant.remove(id);
    const chunks = [value!];
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
    } catch {
      // Cut off: the client sees that it is short.
    }
    const got = Buffer.concat(chunks);
    expect(Buffer.compare(got, Buffer.from(bytes.subarray(0, got.length)))).toBe(0);
    expect(await objects(tenant)).toEqual([]);
  });

  test("is another's to make only with the scope, and only of one's own", async () => {
    const [tenant, other] = [await provider.tenant(), await provider.tenant()];
    const id = await succeed(tenant, 1);
    expect((await other.remove(id)).status).toBe(404);
    expect((await objects(tenant)).length).toBeGreaterThan(0);
  });
});

test("what a tenant keeps for some days only is deleted by the scheduled run, and not before", async () => {
  const tenant = await provider.tenant();
  const id = await succeed(tenant, 1);
  const running = (await submit(tenant, 2)).id;
  const keep = (retentionDays: number | null) =>
    provider.fetchJson(`/v1/admin/tenants/${tenant.id}`, {
      method: "PATCH",
      headers: ADMIN,
      body: JSON.stringify({ retentionDays }),
    });
  await keep(2);
  await provider.worker.reconcile();
  expect((await tenant.get(`/v1/transfers/${id}`)).body.deleted).toBeNull();
  await age(tenant, 2 * DAY_MS);
  // Each tenant has its turn some minutes after the last.
  await keep(null);
  await keep(2);
  await provider.worker.reconcile();
  const { body } = await tenant.get(`/v1/transfers/${id}`);
  expect([body.deleted, body.cost.micros]).toEqual([expect.any(String), 3000]);
  expect(await provider.store.list(folder(tenant, id))).toEqual([]);
  expect((await tenant.get(`/v1/transfers/${running}`)).body.deleted).toBeNull();
  const { entries } = (await provider.fetchJson(`/v1/admin/tenants/${tenant.id}/audit`, { headers: ADMIN })).body;
  expect(entries.at(-1)).toMatchObject({ actor: "retention", action: "transfer.deleted", target: id });
});

test("the prompt comes as one zip with the very files", async () => {
  const tenant = await provider.tenant();
  const contents = {
    "adapter_config.json": Buffer.from("{}"),
    "weights.bin": Buffer.alloc(700_000, 7),
    "third.txt": Buffer.from("3"),
  };
  const id = await succeed(tenant, 1, contents);
  const get = () => fetch(`${provider.url}/v1/transfers/${id}/prompt.zip`, { headers: tenant.headers });
  const response = await get();
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/zip"]);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const files = unzipSync(bytes);
  expect(Object.keys(files)).toEqual(Object.keys(contents));
  for (const [name, content] of Object.entries(contents)) expect(Buffer.compare(files[name]!, content)).toBe(0);
  expect(Buffer.compare(Buffer.from(await (await get()).arrayBuffer()), bytes)).toBe(0);
  const { id: open } = await submit(tenant, 2);
  expect((await tenant.get(`/v1/transfers/${open}/prompt.zip`)).status).toBe(409);
});
