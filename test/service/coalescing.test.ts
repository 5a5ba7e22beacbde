/** Through the edge: transfers of two tenants wait in Batch's queue while one job runs, which then does them all. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BatchClient, DescribeJobDefinitionsCommand, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publishPublicSet, publishStudent } from "../../batch/storage/publish.ts";
import { type Provider, startProvider } from "../../infra/local/provider.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { LedgerEntry } from "../../shared/protocol/budget.ts";
import { leaseSchema } from "../../shared/protocol/job.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import { fixture } from "../helpers/fixtures.ts";
import { holding, softpost } from "../helpers/softpost.ts";
import { tinyStudent } from "../helpers/student.ts";
import { LIMITS, uploadOf } from "./provider.ts";

const PATIENT = { timeout: 200_000, interval: 100 };
const OPTIONS = { dataset: "set", publicSet: "test", steps: 10, batchSize: 2 };

let folder: string;
let provider: Provider;
let upload: { weights: Uint8Array; manifest: unknown };
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-coalescing-"));
  provider = await startProvider({ folder: at("provider"), concurrency: 1, limits: {} });
  const student = await tinyStudent(folder);
  const target = { folder: fixture("tiny-gpt2"), name: "tiny" };
  await publishStudent(provider.store, { student: { folder: student, name: "small" }, target });
  await publishPublicSet(provider.store, { file: fixture("tiny-task/test.jsonl"), description: "" });
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const few = ["--steps", "3", "--prompt-tokens", "4", "--out", at("prompt")];
  expect(await softpost("tune", "--model", student, ...task, ...few)).toMatchObject({ code: 0 });
  upload = {
    weights: readFileSync(at("prompt", "adapter_model.safetensors")),
    manifest: JSON.parse(readFileSync(at("prompt", "softpost.json"), "utf8")),
  };
});

afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true, force: true });
});

test("one job start does them all, in turn; each has its own report, result and settlement", async () => {
  const hold = at("hold");
  await holdTransfers(hold, 3);
  const [one, two] = [await tenant(), await tenant()];
  const first = await one.submit(0);
  await expect.poll(async () => (await one.get(first)).progress?.done, PATIENT).toBe(3);
  const [b, c, gone] = [await one.submit(1), await one.submit(2), await one.submit(3)];
  const [d, e] = [await two.submit(4), await two.submit(5)];
  expect((await one.cancel(gone)).state).toBe("cancelled");
  rmSync(hold);

  const transfers = () => Promise.all([...[first, b, c].map(one.get), ...[d, e].map(two.get)]);
  const states = async () => (await transfers()).map(({ state }) => state);
  await expect.poll(states, PATIENT).toEqual(Array(5).fill("succeeded"));

  // Only the first job ran: the others were taken off Batch's queue.
  const open = () => batchJobs().filter(({ status }) => /RUN/.test(status));
  await expect.poll(open, PATIENT).toEqual([]);
  const ran = batchJobs().filter(({ attempts }) => attempts.length > 0);
  expect(ran.map(({ jobName }) => jobName.split("-")[1])).toEqual([first]);
  const log = readFileSync(at("provider", "batch", "logs", `${ran[0]!.jobId}-1.log`), "utf8");
  const started = [...log.matchAll(/"event":"started".*?"job":"\w+-(\w+)"/g)].map(([, id]) => id);
  expect(started).toEqual([first, d, b, e, c]);

  for (const [who, ids] of [
    [one, [first, b, c, gone]],
    [two, [d, e]],
  ] as const) {
    const entries = await who.ledger();
    const kinds = (id: string) => entries.filter(({ transfer }) => transfer === id).map(({ kind }) => kind);
    for (const id of ids) {
      expect(kinds(id)).toEqual(["reserve", id === gone ? "refund" : "settle"]);
      const { cost } = await who.get(id);
      const sum = entries.filter(({ transfer }) => transfer === id).reduce((total, { micros }) => total + micros, 0);
      expect(sum).toBe(cost!.micros);
    }
  }
});

test("a transfer whose worker was killed in its shift is gone on with before that one's lease ends", async () => {
  const hold = at("hold");
  // The first transfer has ten steps, so the second one is held at its third.
  await holdTransfers(hold, 3);
  const one = await tenant();
  const [first, second] = [await one.submit(6), await one.submit(7)];
  await expect.poll(async () => (await one.get(first)).progress?.done, PATIENT).toBe(3);
  writeFileSync(hold, "13");
  await expect.poll(async () => (await one.get(second)).progress?.done, PATIENT).toBe(3);
  const jobOf = (id: string) => batchJobs().find(({ jobName }) => jobName.endsWith(id))!;
  const key = `${bucket.job(jobOf(second).jobName)}${jobFiles.lease}`;
  const lease = async () => leaseSchema.parse(await provider.store.readJson(key));
  const before = await lease();
  expect(before.holder).toBe(jobOf(first).jobId);
  const { until } = before;
  process.kill(-jobOf(first).process!, "SIGKILL");
  rmSync(hold);
  await expect.poll(lease, PATIENT).toMatchObject({ holder: jobOf(second).jobId, epoch: 2 });
  const started = () => {
    const log = readFileSync(at("provider", "batch", "logs", `${jobOf(second).jobId}-1.log`), "utf8");
    return Date.parse(/"time":"([^"]+)","event":"started"/.exec(log)?.[1] ?? "");
  };
  await expect.poll(started, PATIENT).toBeLessThan(until);
  await expect.poll(async () => (await one.get(second)).state, PATIENT).toBe("succeeded");
});

/** From now on a transfer's job stops after so many steps until the file is gone. */
async function holdTransfers(file: string, steps: number): Promise<void> {
  writeFileSync(file, String(steps));
  const { batchPort, accessKeyId, secretAccessKey } = JSON.parse(readFileSync(at("provider", "provider.json"), "utf8"));
  const credentials = { accessKeyId, secretAccessKey };
  const batch = new BatchClient({ region: "local", endpoint: `http://127.0.0.1:${batchPort}`, credentials });
  const jobDefinitionName = "softpost-transfer";
  const { jobDefinitions } = await batch.send(new DescribeJobDefinitionsCommand({ jobDefinitionName }));
  const { containerProperties, retryStrategy } = jobDefinitions!.at(-1)!;
  const held = Object.entries(holding(file)).map(([name, value]) => ({ name, value }));
  const container = { ...containerProperties, environment: [...containerProperties!.environment!, ...held] };
  await batch.send(
    new RegisterJobDefinitionCommand({
      jobDefinitionName,
      type: "container",
      retryStrategy,
      containerProperties: container,
    }),
  );
}

interface StoredJob {
  readonly jobId: string;
  readonly jobName: string;
  readonly status: string;
  readonly process?: number;
  readonly attempts: readonly unknown[];
}

/** Batch's jobs as its daemon keeps them. */
function batchJobs(): StoredJob[] {
  const path = at("provider", "batch", "jobs");
  const names = readdirSync(path).filter((name) => name.endsWith(".json"));
  return names.map((name) => JSON.parse(readFileSync(join(path, name), "utf8")));
}

async function tenant() {
  const json = async (path: string, init: RequestInit) => (await fetch(provider.url + path, init)).json();
  const admin = { authorization: `Bearer ${provider.adminSecret}`, "content-type": "application/json" };
  const post = (path: string, body: unknown) =>
    json(path, { method: "POST", headers: admin, body: JSON.stringify(body) });
  const { id } = (await post("/v1/admin/tenants", { name: "test", limits: LIMITS })) as { id: string };
  const scopes = ["read", "submit"];
  const { key } = (await post(`/v1/admin/tenants/${id}/keys`, { name: "key", scopes })) as { key: string };
  const headers = { authorization: `Bearer ${key}` };
  return {
    submit: async (seed: number) => {
      const body = uploadOf(upload, { ...OPTIONS, seed });
      return ((await json("/v1/transfers", { method: "POST", headers, body })) as Transfer).id;
    },
    get: (transfer: string) => json(`/v1/transfers/${transfer}`, { headers }) as Promise<Transfer>,
    cancel: (transfer: string) =>
      json(`/v1/transfers/${transfer}/cancel`, { method: "POST", headers }) as Promise<Transfer>,
    ledger: async () => ((await json("/v1/ledger", { headers })) as { entries: LedgerEntry[] }).entries,
  };
}
