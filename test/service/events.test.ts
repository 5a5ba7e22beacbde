import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { type JobEvent, WITHDRAWN } from "../../shared/protocol/job.ts";
import {
  faultyBundle,
  newKey,
  type Provider,
  promptOf,
  startProvider,
  type TenantClient,
  uploadOf,
} from "./provider.ts";

/** For a machine that has much else to do. */
const PATIENT = { timeout: 120_000 };

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

/** A submitted transfer, seen by its job. */
async function submitted(seed: number) {
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(seed)));
  const folder = bucket.job(`${tenant.id}-${body.id}`);
  const spec = (await provider.store.readJson(folder + jobFiles.spec)) as { report: { url: string; token: string } };
  const path = new URL(spec.report.url).pathname;
  const post = (event: unknown, token = spec.report.token) =>
    fetch(provider.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(event),
    }).then(({ status }) => status);
  const writeResult = () =>
    provider.store.write(
      folder + jobFiles.result,
      JSON.stringify({ files: [{ name: "softpost.json", size: 2, sha256: "0".repeat(64) }], deviceSeconds: 1.5 }),
    );
  const show = async () => (await tenant.get(`/v1/transfers/${body.id}`)).body;
  return { tenant, id: body.id as string, post, writeResult, show };
}

const event = (sequence: number, done: number, change: Partial<JobEvent> = {}): JobEvent => ({
  attempt: 1,
  sequence,
  state: "running",
  step: done,
  progress: { phase: "transfer", done, total: 100, loss: 1 / (done + 1) },
  ...change,
});

describe("a job's events", () => {
  test("show its progress and its losses", async () => {
    const { post, show } = await submitted(1);
    expect(await post(event(0, 10))).toBe(204);
    expect(await post(event(1, 20))).toBe(204);
    const transfer = await show();
    expect(transfer).toMatchObject({ state: "running", progress: { done: 20 } });
    expect(transfer.losses.map(({ step }: { step: number }) => step)).toEqual([10, 20]);
  });

  test("may come twice and out of order", async () => {
    const { post, show, writeResult, tenant } = await submitted(2);
    await writeResult();
    for (const report of [
      event(3, 30),
      event(1, 10),
      event(3, 30),
      event(9, 100, { state: "succeeded" }),
      event(4, 40),
    ]) {
      await post(report);
    }
    await post(event(9, 100, { state: "succeeded" }));
    await post(event(10, 0, { state: "failed", problem: "Too late." }));
    expect(await show()).toMatchObject({ state: "succeeded", progress: { done: 100 }, problem: null });
    expect((await tenant.get("/v1/ledger")).body.entries.map(({ kind }: { kind: string }) => kind)).toEqual([
      "reserve",
      "settle",
    ]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("of a later attempt replace those of an earlier one", async () => {
    const { post, show } = await submitted(3);
    await post(event(50, 50));
    await post(event(0, 40, { attempt: 2 }));
    await post(event(51, 60));
    const transfer = await show();
    expect(transfer.progress.done).toBe(40);
    expect(transfer.losses.map(({ step }: { step: number }) => step)).toEqual([40]);
  });

  test("without the job's own token are refused", async () => {
    const [one, two] = [await submitted(4), await submitted(5)];
    expect(await one.post(event(0, 1), "wrong")).toBe(401);
    expect(await one.post(event(0, 1), one.tenant.key)).toBe(401);
    const token = (
      (await provider.store.readJson(`${bucket.job(`${two.tenant.id}-${two.id}`)}${jobFiles.spec}`)) as {
        report: { token: string };
      }
    ).report.token;
    expect(await one.post(event(0, 1), token)).toBe(401);
    expect((await one.show()).state).toBe("queued");
  });

  test("that are no events are refused", async () => {
    const { post } = await submitted(6);
    expect(await post({ ...event(0, 1), attempt: 0 })).toBe(422);
    // What a newer job says beside it is passed over.
    expect(await post({ ...event(0, 1), more: 1 })).toBe(204);
  });

  test("of a job without a result don't end it", async () => {
    const { post, show } = await submitted(7);
    await post(event(0, 100, { state: "succeeded" }));
    expect((await show()).state).toBe("running");
  });

  test("of a job that failed refund it", async () => {
    const { post, show, tenant } = await submitted(8);
    await post(event(0, 5, { state: "failed", problem: "The prompt is odd." }));
    expect(await show()).toMatchObject({ state: "failed", problem: "The prompt is odd.", cost: { micros: 0 } });
    expect((await tenant.get("/v1/budget")).body.virtualTokens).toMatchObject({ used: 0, reserved: 0 });
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("that says it failed end it for whoever works on: nothing is computed for nothing", async () => {
    const { post, tenant, id } = await submitted(18);
    const job = `${tenant.id}-${id}`;
    const lease = `${bucket.job(job)}${jobFiles.lease}`;
    await provider.store.write(lease, JSON.stringify({ holder: "worker", epoch: 1, until: Date.now() + 60_000 }));
    expect(await post(event(0, 5, { state: "failed", problem: "Forged." }))).toBe(204);
    expect(await provider.store.readJson(lease)).toEqual(WITHDRAWN);
    expect(await provider.store.list("waiting/")).not.toContainEqual(expect.stringContaining(job));
  });
});

test("a job whose events never come is settled from Batch and the bucket", async () => {
  await provider.define(["true"]);
  const { show, writeResult, tenant, id } = await submitted(9);
  await writeResult();
  await expect
    .poll(async () => {
      await provider.worker.reconcile();
      return (await show()).state;
    }, PATIENT)
    .toBe("succeeded");
  const transfer = await show();
  expect(transfer).toMatchObject({ cost: { deviceSeconds: 2, micros: 2000 }, actualSeconds: 1.5 });
  const { body: ledger } = await tenant.get("/v1/ledger");
  expect(ledger.entries.at(-1)).toMatchObject({
    kind: "settle",
    note: "1.5 s on NVIDIA A10G or L4 at 3.6 USD an hour",
  });
  expect(transfer.files).toHaveLength(1);
  expect(await tenant.ledgerAddsUp()).toBe(true);
  const { body: quote } = await tenant.quote(promptOf(9).manifest, transfer.options);
  expect(quote.model.finishedJobs).toBeGreaterThan(0);
  expect(id).toBe(transfer.id);
});

test("a job that Batch lost, or that ended without a result, is refunded", async () => {
  await provider.define(["false"]);
  const { show, tenant } = await submitted(10);
  await expect
    .poll(async () => {
      await provider.worker.reconcile();
      return (await show()).state;
    }, PATIENT)
    .toBe("failed");
  expect((await show()).problem).toMatch(/^The job broke down. It costs nothing. Submit it again/);
  expect(await tenant.ledgerAddsUp()).toBe(true);
});

test("a transfer whose own job failed is not given up while another job works on it", async () => {
  await provider.define(["false"]);
  const { show, tenant, id } = await submitted(14);
  const key = `${bucket.job(`${tenant.id}-${id}`)}${jobFiles.lease}`;
  const lease = { holder: "another", epoch: 1, until: Date.now() + 3_600_000 };
  await provider.store.write(key, JSON.stringify(lease));
  const ended = async () => (await provider.batchStatus(`${tenant.id}-${id}`)) === "FAILED";
  await expect.poll(ended, PATIENT).toBe(true);
  await provider.worker.reconcile();
  expect((await show()).state).not.toBe("failed");
  await provider.store.write(key, JSON.stringify({ ...lease, until: 0 }));
  await provider.worker.reconcile();
  expect((await show()).state).toBe("failed");
});

test("a transfer that another job has done is settled though its word was lost, and its own job never starts", async () => {
  await provider.define(["sleep", "60"]);
  const { show, post, writeResult, tenant, id } = await submitted(15);
  const job = `${tenant.id}-${id}`;
  await post(event(0, 10, { runner: "another" }));
  await writeResult();
  await post(event(1, 100, { runner: "another", state: "succeeded" }));
  expect(await show()).toMatchObject({ state: "succeeded", actualSeconds: 1.5 });
  // It was running already, so it isn't interrupted.
  expect(await provider.batchStatus(job)).toBe("RUNNING");
  expect(await tenant.ledgerAddsUp()).toBe(true);
});

test("a ledger of an earlier release is brought up to date", async () => {
  const { tenant, show } = await submitted(16);
  await provider.fetchJson(`/test/outdate/${tenant.id}`);
  await provider.restartWorker();
  expect(await show()).toMatchObject({ rate: { device: "unknown" }, estimatedSeconds: 0, actualSeconds: null });
  expect((await tenant.submit(uploadOf(promptOf(17)))).body.rate.device).toBe("NVIDIA A10G or L4");
});

test("server-sent events tell every change until the end, and go on where a client stopped", async () => {
  await provider.define(["sleep", "60"]);
  const { post, tenant, id, writeResult } = await submitted(11);
  const open = async (last?: string) => {
    const headers = { ...tenant.headers, ...(last && { "last-event-id": last }) };
    const response = await fetch(`${provider.url}/v1/transfers/${id}/events`, { headers });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    return response.body!.pipeThrough(new TextDecoderStream());
  };
  const told = async (stream: AsyncIterable<string>) => {
    let text = "";
    for await (const chunk of stream) text += chunk;
    const lines = text.split("\n").filter((line) => line.startsWith("data: "));
    return lines.map((line) => JSON.parse(line.slice("data: ".length)) as { version: number; state: string });
  };
  // What it was before comes first: only then do we let it change.
  const [before, after] = (await open()).tee();
  await before.getReader().read();
  await post(event(0, 10));
  await writeResult();
  await post(event(1, 100, { state: "succeeded" }));
  const transfers = await told(after);
  expect(transfers.at(-1)!.state).toBe("succeeded");
  const versions = transfers.map(({ version }) => version);
  expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  expect((await told(await open(String(versions.at(-2))))).map(({ version }) => version)).toEqual([versions.at(-1)]);
  // Who has seen the end need not come again.
  for (const last of [versions.at(-1)!, versions.at(-1)! + 5]) {
    const headers = { ...tenant.headers, "last-event-id": String(last) };
    expect((await fetch(`${provider.url}/v1/transfers/${id}/events`, { headers })).status).toBe(204);
  }
});

describe("a Worker that is restarted between reserving and submitting", () => {
  test("lets the client's next try go on, once nobody else can be at it", async () => {
    const { tenant, key, form, id } = await hungUpload("hang spec.json");
    await provider.restartWorker();
    const show = async () => (await tenant.submit(form(), key)).body;
    expect(await show()).toMatchObject({ id, state: "accepted" });
    await age(tenant, 61_000);
    expect(await show()).toMatchObject({ id, state: "queued" });
    expect((await tenant.get("/v1/budget")).body.daily.used).toBe(1);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("refunds what no client comes back for", async () => {
    const { tenant, key, form, id } = await hungUpload("hang softpost.json");
    await provider.restartWorker();
    await provider.worker.reconcile();
    expect((await tenant.get(`/v1/transfers/${id}`)).body.state).toBe("accepted");
    await age(tenant, 130_000);
    await provider.worker.reconcile();
    expect((await tenant.get(`/v1/transfers/${id}`)).body).toMatchObject({ state: "failed", cost: { micros: 0 } });
    expect(await tenant.ledgerAddsUp()).toBe(true);
    expect((await tenant.submit(form(), key)).body.id).not.toBe(id);
  });

  test("submits by itself what was stored", async () => {
    const tenant = await provider.tenant();
    provider.door.mode = "cut";
    const { body } = await tenant.submit(uploadOf(promptOf(13)));
    await provider.restartWorker();
    provider.door.mode = "open";
    await provider.worker.reconcile();
    expect(["queued", "running"]).toContain((await tenant.get(`/v1/transfers/${body.id}`)).body.state);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });
});

/** A submission whose request ends with the Worker while the bucket doesn't answer. */
async function hungUpload(fault: string) {
  const tenant: TenantClient = await provider.tenant();
  const key = newKey();
  const form = () => uploadOf(promptOf(12));
  const headers = { ...tenant.headers, ...key, "x-test-fault": fault };
  const sending = fetch(`${provider.url}/v1/transfers`, { method: "POST", headers, body: form() }).catch(() => {});
  const transfers = async () => (await tenant.get("/v1/transfers")).body.transfers;
  await expect.poll(async () => (await transfers()).length, PATIENT).toBe(1);
  const [{ id, state }] = await transfers();
  expect(state).toBe("accepted");
  expect(await tenant.ledgerAddsUp()).toBe(true);
  return { tenant, key, form, id: id as string, sending };
}

const age = (tenant: TenantClient, milliseconds: number) =>
  provider.fetchJson(`/test/age/${tenant.id}/${milliseconds}`);
