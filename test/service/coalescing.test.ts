/** Through the edge: transfers of two tenants wait in Batch's queue while one job runs, which then does them all. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BatchClient, DescribeJobDefinitionsCommand, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publishPublicSet, publishStudent } from "../../batch/storage/publish.ts";
import { type Provider, startProvider } from "../../infra/local/provider.ts";
import type { LedgerEntry, Transfer } from "../../shared/protocol/transfer.ts";
import { fixture } from "../helpers/fixtures.ts";
import { holding, softpost } from "../helpers/softpost.ts";
import { LIMITS, uploadOf } from "./provider.ts";

const PATIENT = { timeout: 200_000, interval: 100 };
const OPTIONS = { dataset: "set", publicSet: "test", steps: 10, batchSize: 2 };

let folder: string;
let provider: Provider;
let upload: { weights: Uint8Array; manifest: unknown };
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-coalescing-"));
  provider = await startProvider({ folder: at("provider"), concurrency: 1, limits: LIMITS });
  const model = { folder: fixture("tiny-gpt2"), name: "tiny" };
  await publishStudent(provider.store, { student: model, target: model });
  await publishPublicSet(provider.store, { file: fixture("tiny-task/test.jsonl"), description: "" });
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const few = ["--steps", "3", "--prompt-tokens", "4", "--out", at("prompt")];
  expect(await softpost("tune", "--model", fixture("tiny-gpt2"), ...task, ...few)).toMatchObject({ code: 0 });
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
  await holdTransfers(hold);
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

/** From now on a transfer's job stops before its fourth step until the file is gone. */
async function holdTransfers(file: string): Promise<void> {
  writeFileSync(file, "3");
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
    cancel: (transfer: string) => json(`/v1/transfers/${transfer}`, { method: "DELETE", headers }) as Promise<Transfer>,
    ledger: async () => ((await json("/v1/ledger", { headers })) as { entries: LedgerEntry[] }).entries,
  };
}
