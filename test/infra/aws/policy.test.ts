/** What the Worker and the jobs do with the bucket, under the policies that the AWS stack gives them. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { startWorker } from "../../../infra/local/worker.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import { transferJobs } from "../../batch/transfer-jobs.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { CREDENTIALS, LIMITS, type Provider, promptOf, startProvider, uploadOf } from "../../service/provider.ts";
import { allows, policyDoor, statementsOf } from "./policy-door.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});

afterAll(() => provider.close());

test("the evaluator tells what is allowed from what isn't", () => {
  const worker = statementsOf("Worker");
  expect(allows(worker, "s3:GetObject", "catalogue.json")).toBe(true);
  // It publishes and retires for the administrator.
  expect(allows(worker, "s3:PutObject", "catalogue.json")).toBe(true);
  expect(allows(worker, "s3:DeleteObject", "catalogue.json")).toBe(false);
  expect(allows(worker, "s3:PutObject", "models/x/model.safetensors")).toBe(false);
  expect(allows(worker, "s3:ListBucket", undefined)).toBe(true);
  expect(allows(statementsOf("TransferRole"), "s3:DeleteObject", "jobs/a/spec.json")).toBe(false);
});

test("the Worker opens a tenant, takes a transfer, settles it, deletes the tenant, sweeps and opens it again", async () => {
  await provider.define(["true"]);
  const { s3, bucketName } = provider.worker;
  const door = await policyDoor(s3, bucketName, statementsOf("Worker"));
  const vars = {
    PEPPER: "pepper",
    ADMIN_SECRET: "admin-secret",
    PUBLIC_URL: "http://127.0.0.1:1",
    S3_URL: `${door.endpoint}/${bucketName}`,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    BATCH_ENDPOINT: provider.door.url,
  };
  const folder = join(temporaryFolder(), "worker");
  const worker = await startWorker({ bundle: await loadBundle(), folder, port: 0, vars, credentials: CREDENTIALS });
  const ask = async (method: string, path: string, body?: unknown, key = "admin-secret") => {
    const headers = {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    };
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
    const response = await fetch(worker.url + path, init);
    return { status: response.status, body: (await response.json().catch(() => ({}))) as Record<string, string> };
  };
  try {
    const { body: tenant } = await ask("POST", "/v1/admin/tenants", { name: "x", limits: LIMITS });
    const keys = `/v1/admin/tenants/${tenant.id}/keys`;
    const { body: key } = await ask("POST", keys, { name: "key", scopes: ["read", "submit"] });
    const headers = { authorization: `Bearer ${key.key}` };
    const body = uploadOf(promptOf(1));
    const submitted = await fetch(`${worker.url}/v1/transfers`, { method: "POST", headers, body });
    expect(submitted.status).toBe(202);
    const { id } = (await submitted.json()) as { id: string };
    const job = bucket.job(`${tenant.id}-${id}`);
    await provider.store.write(job + jobFiles.result, JSON.stringify({ files: [], deviceSeconds: 1 }));
    const state = async () => {
      await worker.reconcile();
      return (await ask("GET", `/v1/transfers/${id}`, undefined, key.key)).body.state;
    };
    await expect.poll(state, { timeout: 120_000 }).toBe("succeeded");
    expect((await ask("DELETE", `/v1/admin/tenants/${tenant.id}`)).status).toBe(200);
    expect(await provider.store.list(job)).toEqual([]);
    await provider.store.write(`${job}late`, "-");
    await worker.reconcile();
    expect(await provider.store.list(job)).toEqual([]);
    expect((await ask("POST", "/v1/admin/tenants", { name: "x", limits: LIMITS, id: tenant.id })).status).toBe(201);
    expect(door.refused).toEqual([]);
    expect([...door.used].toSorted()).toEqual(["s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"]);
  } finally {
    await worker.close();
    door.close();
  }
});

test("a transfer's job does its work and cleans up, and may do no more", async () => {
  const { s3, bucketName } = provider.worker;
  const jobs = await transferJobs(provider, provider.folder);
  const door = await policyDoor(s3, bucketName, statementsOf("TransferRole"));
  await jobs.put("policed", {});
  const { code } = await jobs.run("policed", { SOFTPOST_S3_ENDPOINT: door.endpoint });
  expect(door.refused).toEqual([]);
  expect(code).toBe(0);
  const left = (await provider.store.list("jobs/policed/")).map((key) => key.replace(/output\/.*\//, "output/"));
  expect(left.filter((key) => key.includes("checkpoint"))).toEqual([]);
  expect(left).toContain("jobs/policed/output/softpost.json");
  door.close();
});
