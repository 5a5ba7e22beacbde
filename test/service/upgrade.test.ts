/** A provider's folder as an earlier release left it, and jobs of neighbouring releases. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { defineJobs } from "../../infra/local/definitions.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import { JOB_PROTOCOL, VERSION_HEADER } from "../../shared/protocol/job-version.ts";
import {
  ADMIN,
  CREDENTIALS,
  OPTIONS,
  type Provider,
  promptOf,
  startProvider,
  type TenantClient,
  uploadOf,
} from "./provider.ts";

const RESULT = { files: [{ name: "x", size: 1, sha256: "a".repeat(64) }], deviceSeconds: 8, device: "CPU" };
const JOB = fileURLToPath(new URL("../../batch/main.ts", import.meta.url));

async function report(provider: Provider, job: string, event: object, headers: Record<string, string> = {}) {
  const spec = JSON.parse(Buffer.from(await provider.store.need(bucket.job(job) + jobFiles.spec)).toString());
  const response = await fetch(`${provider.url}/internal/jobs/${job}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${spec.report.token}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ attempt: 1, sequence: 9, progress: null, ...event }),
  });
  await response.body?.cancel();
  return response.status;
}

describe("the folder of release 4e779c2", () => {
  let provider: Provider;
  // biome-ignore lint/suspicious/noExplicitAny: what that release's API said
  let said: any;
  const get = (path: string) => provider.fetchJson(path, { headers: { authorization: `Bearer ${said.key}` } });

  /** Since that release epsilon's bound also holds in floating point, which lifts it by some billionths. */
  const samePrivacy = (now: Budget["privacy"], then: Budget["privacy"]) => {
    expect(now.limit).toEqual(then.limit);
    expect(now.datasets).toHaveLength(then.datasets.length);
    for (const [i, { epsilon, ...before }] of then.datasets.entries()) {
      expect(now.datasets[i]).toMatchObject(before);
      expect(now.datasets[i]!.epsilon).toBeGreaterThanOrEqual(epsilon!);
      expect(now.datasets[i]!.epsilon).toBeCloseTo(epsilon!, 6);
    }
  };

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), "softpost-"));
    const golden = fileURLToPath(new URL("golden/provider-4e779c2.zip", import.meta.url));
    for (const [path, bytes] of Object.entries(unzipSync(readFileSync(golden)))) {
      if (path === "said.json") said = JSON.parse(Buffer.from(bytes).toString());
      const to = join(folder, path.replace(/^provider\//, ""));
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, bytes);
    }
    provider = await startProvider(await loadBundle(), folder);
  });

  afterAll(() => provider.close());

  test("is opened with the same budgets, entries and transfers, and its keys work", async () => {
    const { status, body: budget } = await get("/v1/budget");
    expect(status).toBe(200);
    // The day's count begins anew at midnight.
    const { daily: _, privacy, ...then } = said.budget;
    expect(budget).toMatchObject(then);
    samePrivacy(budget.privacy, privacy);
    expect((await get("/v1/ledger")).body).toEqual(said.ledger);
    const { transfers } = (await get("/v1/transfers")).body;
    for (const [i, before] of said.transfers.entries()) {
      const { version: __, updated: ___, state, progress, ...same } = before;
      expect(transfers[i]).toMatchObject({ ...same, name: null, metadata: {}, deleted: null });
    }
    expect((await get(`/v1/admin/tenants/${said.tenant}/keys`)).body.keys).toMatchObject([
      { expires: null, revoked: null },
    ]);
    expect((await provider.fetchJson("/version")).body.ledger).toBeGreaterThan(1);
  });

  test("has its transfers under way finished, by jobs of that release, and paid for as agreed", async () => {
    const ids: [string, string] = [said.queued, said.running];
    await provider.worker.reconcile();
    for (const id of ids) {
      const job = `${said.tenant}-${id}`;
      await provider.store.write(bucket.job(job) + jobFiles.result, JSON.stringify(RESULT));
      expect(await report(provider, job, { state: "succeeded" })).toBe(204);
      expect((await get(`/v1/transfers/${id}`)).body).toMatchObject({
        state: "succeeded",
        cost: { deviceSeconds: 8, micros: 8000 },
      });
    }
    const { body: budget } = await get("/v1/budget");
    expect(budget.money).toEqual({
      limit: said.budget.money.limit,
      used: said.budget.money.used + 16_000,
      reserved: 0,
    });
    samePrivacy(budget.privacy, said.budget.privacy);
    const { entries } = (await get("/v1/ledger")).body;
    const sum = entries.reduce((total: number, { micros }: { micros: number }) => total + micros, 0);
    expect(budget.money.used).toBe(sum);
    const months = new Set([said.ledger.entries[0].at, new Date().toISOString()].map((at: string) => at.slice(0, 7)));
    const path = `/v1/admin/tenants/${said.tenant}/usage`;
    const usages = await Promise.all(
      [...months].map((month) => provider.fetchJson(`${path}?month=${month}`, { headers: ADMIN })),
    );
    const rows = usages.flatMap(({ body }) => body.usage);
    expect(rows.every(({ key }: { key: string | null }) => key === null)).toBe(true);
    expect(rows.reduce((total: number, { micros }: { micros: number }) => total + micros, 0)).toBe(29_000);
  });

  test("takes new work, is administered, and opens again", async () => {
    const form = uploadOf(promptOf(9, { privacy: said.transfers[0].privacy ?? null }), OPTIONS);
    const init = { method: "POST", headers: { authorization: `Bearer ${said.key}` }, body: form };
    // It has a privacy limit, and this prompt no guarantee: refused as that release would.
    expect((await provider.fetchJson("/v1/transfers", init)).status).toBe(403);
    const patch = { method: "PATCH", headers: ADMIN, body: JSON.stringify({ privacy: null }) };
    await provider.fetchJson(`/v1/admin/tenants/${said.tenant}/limits`, patch);
    const again = { ...init, body: uploadOf(promptOf(9), OPTIONS) };
    expect((await provider.fetchJson("/v1/transfers", again)).status).toBe(202);
    const removed = { method: "DELETE", headers: init.headers };
    expect((await provider.fetchJson(`/v1/transfers/${said.succeeded}`, removed)).status).toBe(200);
    await provider.restartWorker();
    expect((await get("/v1/transfers")).body.transfers).toHaveLength(5);
    const { entries } = (await provider.fetchJson(`/v1/admin/tenants/${said.tenant}/audit`, { headers: ADMIN })).body;
    expect(entries.map(({ action }: { action: string }) => action)).toEqual(["limits.changed", "transfer.deleted"]);
  });
});

describe("a job of another release", () => {
  let provider: Provider;
  let tenant: TenantClient;

  beforeAll(async () => {
    provider = await startProvider(await loadBundle());
    await provider.define(["sleep", "60"]);
    tenant = await provider.tenant();
  });

  afterAll(() => provider.close());

  const submit = async (seed: number) => {
    const { body } = await tenant.submit(uploadOf(promptOf(seed)));
    return { id: body.id as string, job: `${tenant.id}-${body.id}` };
  };
  const refunded = async (id: string, word: string) => {
    const { body } = await tenant.get(`/v1/transfers/${id}`);
    expect([body.state, body.cost, body.problem]).toEqual([
      ...["failed", { deviceSeconds: 0, micros: 0 }, expect.stringContaining(`the ${word} is of version`)],
    ]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  };

  test("that says nothing of its version, or something beside what is known, is understood", async () => {
    const { id, job } = await submit(1);
    expect(
      await report(provider, job, { state: "running", novelty: 7 }, { [VERSION_HEADER]: String(JOB_PROTOCOL) }),
    ).toBe(204);
    expect(await report(provider, job, { state: "running" })).toBe(204);
    expect((await tenant.get(`/v1/transfers/${id}`)).body.state).toBe("running");
    const spec = JSON.parse(Buffer.from(await provider.store.need(bucket.job(job) + jobFiles.spec)).toString());
    expect(spec.version).toBe(JOB_PROTOCOL);
  });

  test("whose reports aren't known is refused, and the transfer refunded; only with its token", async () => {
    const { id, job } = await submit(2);
    const headers = { [VERSION_HEADER]: "99" };
    const body = JSON.stringify({ whatever: true });
    const stranger = await fetch(`${provider.url}/internal/jobs/${job}/events`, {
      method: "POST",
      headers: { ...headers, authorization: "Bearer wrong", "content-type": "application/json" },
      body,
    });
    expect(stranger.status).toBe(401);
    expect((await tenant.get(`/v1/transfers/${id}`)).body.state).not.toBe("failed");
    expect(await report(provider, job, { state: "another" }, headers)).toBe(409);
    await refunded(id, "report");
  });

  test("whose result isn't known is refused, and the transfer refunded", async () => {
    const { id, job } = await submit(3);
    await provider.store.write(bucket.job(job) + jobFiles.result, JSON.stringify({ version: 2, output: "elsewhere" }));
    expect(await report(provider, job, { state: "succeeded" })).toBe(204);
    await refunded(id, "result");
  });

  test("that gets a spec it doesn't know says so, and the transfer is refunded", async () => {
    await defineJobs(provider.batch.url, CREDENTIALS, JOB, {
      SOFTPOST_BUCKET: provider.worker.bucketName,
      SOFTPOST_S3_ENDPOINT: provider.worker.s3,
      SOFTPOST_EDGE: provider.url,
      SOFTPOST_THREADS: "1",
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      SOFTPOST_CACHE: join(provider.folder, "models"),
    });
    provider.door.mode = "cut";
    const { id, job } = await submit(4);
    const key = bucket.job(job) + jobFiles.spec;
    const { report, ...spec } = JSON.parse(Buffer.from(await provider.store.need(key)).toString());
    await provider.store.write(key, JSON.stringify({ version: 2, report, novel: Object.keys(spec) }));
    provider.door.mode = "open";
    await provider.worker.reconcile();
    await expect
      .poll(async () => (await tenant.get(`/v1/transfers/${id}`)).body.state, { timeout: 120_000, interval: 200 })
      .toBe("failed");
    await refunded(id, "spec");
  });
});
