/** The Worker's cron: whom it looks after, in which order, and what it tells CloudWatch. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { startWorker } from "../../infra/local/worker.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { HEARTBEAT } from "../../shared/protocol/heartbeat.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { CREDENTIALS, type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});

afterAll(() => provider.close());

/** Whom the log says to have been looked after since so many lines. */
const lines = () => readFileSync(join(provider.folder, "worker.log"), "utf8").split("\n").filter(Boolean);
const lookedAfter = (since: number) =>
  lines()
    .slice(since)
    .map((line) => JSON.parse(line) as { event?: string; tenant?: string })
    .filter(({ event }) => event === "open")
    .map(({ tenant }) => tenant);

test("tenants with nothing under way aren't asked, others until they have had nothing for a while", async () => {
  await provider.define(["sleep", "60"]);
  const [idle, busy] = [await provider.tenant(), await provider.tenant()];
  const { body } = await busy.submit(uploadOf(promptOf(1)));
  const since = lines().length;
  await provider.worker.reconcile();
  await provider.worker.reconcile();
  expect(lookedAfter(since)).toEqual([busy.id, busy.id]);
  expect(lookedAfter(0)).not.toContain(idle.id);
  await busy.cancel(body.id);
  const later = lines().length;
  await provider.worker.reconcile();
  expect(lookedAfter(later)).toEqual([]);
  // It was put in again, so a transfer that comes now is looked after.
  await busy.submit(uploadOf(promptOf(2)));
  await provider.worker.reconcile();
  expect(lookedAfter(later)).toEqual([busy.id]);
});

test("a tenant of the time before there was a register is found again", async () => {
  await provider.define(["true"]);
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(3)));
  const job = `${tenant.id}-${body.id}`;
  const result = { files: [], deviceSeconds: 1 };
  await provider.store.write(bucket.job(job) + jobFiles.result, JSON.stringify(result));
  const state = async () => {
    await provider.worker.reconcile();
    return (await tenant.get(`/v1/transfers/${body.id}`)).body.state;
  };
  await expect.poll(state, { timeout: 120_000 }).toBe("succeeded");
});

test("CloudWatch is told of every run, signed, under the queue's name", async () => {
  const told: { authorization: string; figures: URLSearchParams }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    told.push({ authorization: request.headers.authorization!, figures: new URLSearchParams(text) });
    response.end("<PutMetricDataResponse/>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const vars = {
    PEPPER: "pepper",
    ADMIN_SECRET: "x",
    AWS_ACCESS_KEY_ID: "key-id",
    AWS_SECRET_ACCESS_KEY: "y",
    BATCH_ENDPOINT: "http://127.0.0.1:1",
    METRICS_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
  const bundle = await loadBundle();
  const worker = await startWorker({ bundle, folder: temporaryFolder(), port: 0, vars, credentials: CREDENTIALS });
  try {
    await worker.reconcile();
    expect(told).toHaveLength(1);
    const [{ authorization, figures }] = told as [(typeof told)[0]];
    expect(authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=key-id\/\d+\/us-east-1\/monitoring\/aws4_request/);
    expect(figures.get("Namespace")).toBe("softpost");
    expect(figures.get("MetricData.member.1.MetricName")).toBe(HEARTBEAT.alive);
    expect([1, 2, 3].map((i) => figures.get(`MetricData.member.${i}.Value`))).toEqual(["1", "0", "0"]);
  } finally {
    await worker.close();
    server.closeAllConnections();
    server.close();
  }
});
