/** The programs of the jobs that no client submits, run by Batch's daemon on files in the bucket. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DescribeJobsCommand, SubmitJobCommand } from "@aws-sdk/client-batch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publishPublicSet } from "../../../batch/storage/publish.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { defineJobs } from "../../../infra/local/definitions.ts";
import { hashModel } from "../../../shared/data/model-files.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import { catalogueSchema, type PublicSet } from "../../../shared/protocol/catalogue.ts";
import { resultSchema, type Spec } from "../../../shared/protocol/job.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { holding, softpost } from "../../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";
import { CREDENTIALS, jobEnvironment, type Provider, startProvider } from "../../service/provider.ts";

const PATIENT = { timeout: 120_000, interval: 50 };
const JOB = fileURLToPath(new URL("../../../batch/main.ts", import.meta.url));

let provider: Provider;
let model: { id: string; digest: string; files: { name: string; size: number; sha256: string }[] };
let texts: PublicSet;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  const { store } = provider;
  const folder = fixture("tiny-gpt2");
  model = { id: "tiny-gpt2", ...(await hashModel(folder)) };
  for (const { name, sha256 } of model.files) {
    await store.upload(join(folder, name), bucket.model(model.digest) + name, sha256);
  }
  texts = await publishPublicSet(store, { file: fixture("tiny-task/test.jsonl"), description: "" });
});

afterAll(() => provider.close());

/** Lets the jobs that are submitted from now on run, with more in their environment. */
function define(more: Record<string, string> = {}): Promise<void> {
  const { batch, folder } = provider;
  return defineJobs(batch.url, CREDENTIALS, JOB, {
    ...jobEnvironment(provider, join(folder, "models")),
    ...more,
  });
}

async function submit(spec: Spec): Promise<string> {
  const key = bucket.job(spec.job) + jobFiles.spec;
  await provider.store.write(key, JSON.stringify(spec));
  const names = { jobName: spec.job, jobQueue: "softpost", jobDefinition: `softpost-${spec.kind}` };
  const { jobId } = await provider.client.send(new SubmitJobCommand({ ...names, parameters: { spec: key } }));
  return jobId!;
}

const describeJob = async (id: string) =>
  (await provider.client.send(new DescribeJobsCommand({ jobs: [id] }))).jobs![0]!;

async function succeeded(id: string) {
  await expect
    .poll(async () => (await describeJob(id)).status, PATIENT)
    .toSatisfy((status) => /SUCC|FAIL/.test(status));
  const job = await describeJob(id);
  expect(job.status, logOf(id, job.attempts?.length ?? 1)).toBe("SUCCEEDED");
  return job;
}

function logOf(id: string, attempt: number): string {
  const path = join(provider.folder, "batch", "logs", `${id}-${attempt}.log`);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

const held = { precision: "fp32", weights: "fp32" } as const;

async function published(name: string) {
  const { students } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
  return students.find(({ id }) => id === name);
}

test("distill publishes a student; stopped, it writes a checkpoint and goes on to the same student", async () => {
  const few = { layers: [0, -1], steps: 8, batchSize: 2, maxLength: 12, learningRate: 1e-3, seed: 1 };
  const spec = { kind: "distill" as const, teacher: { ...model, weights: "fp32" as const }, corpus: texts, ...few };
  const hold = temporaryFile("hold", "5");
  await define(holding(hold));
  const id = await submit({ ...spec, job: "stopped", student: "stopped" });
  await expect.poll(() => logOf(id, 1), PATIENT).toContain("Held");
  // From the checkpoint 3 steps are enough; from the beginning the next attempt would be held for ever.
  writeFileSync(hold, "3");
  process.kill(-provider.processOf(id), "SIGTERM");
  const { attempts } = await succeeded(id);
  expect(attempts?.map(({ container }) => container?.exitCode)).toEqual([143, 0]);
  // Its state is of no use any more.
  expect(await provider.store.list("jobs/stopped/checkpoint/")).toEqual([]);
  const stopped = await published("stopped");
  expect(stopped).toMatchObject({ architecture: "gpt2", target: { id: "tiny-gpt2", digest: model.digest } });

  await define();
  await succeeded(await submit({ ...spec, job: "undisturbed", student: "undisturbed" }));
  expect((await published("undisturbed"))?.digest).toBe(stopped?.digest);
});

test("predict labels data in the bucket as softpost predict does", async () => {
  const folder = join(temporaryFolder(), "prompt");
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const tune = ["--model", fixture("tiny-gpt2"), ...task, "--steps", "3", "--prompt-tokens", "4", "--out", folder];
  expect(await softpost("tune", ...tune)).toMatchObject({ code: 0 });
  for (const name of ["softpost.json", "adapter_model.safetensors"]) {
    await provider.store.write(bucket.job("moved") + jobFiles.output + name, readFileSync(join(folder, name)));
  }
  // As an early release left it: without a folder of its own.
  await provider.store.write(bucket.job("moved") + jobFiles.result, JSON.stringify({ files: [], deviceSeconds: 1 }));
  await define();
  await succeeded(
    await submit({ kind: "predict", job: "labels", model: { ...model, ...held }, prompt: "moved", data: texts }),
  );
  const { folder: attempt } = resultSchema.parse(await provider.store.readJson("jobs/labels/result.json"));
  expect(attempt).toMatch(/^[a-z2-7]{16}\/$/);
  const key = `jobs/labels/output/${attempt}predictions.jsonl`;
  const output = new TextDecoder().decode(await provider.store.need(key));
  const data = ["--prompt", folder, "--data", fixture("tiny-task/test.jsonl")];
  expect(output).toBe((await softpost("predict", "--model", fixture("tiny-gpt2"), ...data)).stdout);
  const { files, deviceSeconds } = resultSchema.parse(await provider.store.readJson("jobs/labels/result.json"));
  expect(files).toMatchObject([{ name: "predictions.jsonl", size: output.length }]);
  expect(deviceSeconds).toBeGreaterThan(0);
});

test("why predictions failed is said without a word of the texts", async () => {
  const folder = temporaryFolder();
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  // A token that the model has no embedding for.
  writeFileSync(join(folder, "tokenizer_config.json"), '{"mask_token": "<secret>"}');
  const odd = { id: "odd", ...(await hashModel(folder)) };
  const { store } = provider;
  for (const { name, sha256 } of odd.files) {
    await store.upload(join(folder, name), bucket.model(odd.digest) + name, sha256);
  }
  const file = temporaryFile("private.jsonl", `${JSON.stringify({ text: "a <secret> b" })}\n`);
  const data = await publishPublicSet(store, { file, description: "" });
  await define();
  const id = await submit({ kind: "predict", job: "told", model: { ...odd, ...held }, prompt: "moved", data });
  await expect.poll(async () => (await describeJob(id)).status, PATIENT).toBe("FAILED");
  expect(logOf(id, 1)).toContain("no embedding for");
  expect(logOf(id, 1)).not.toContain("<secret>");
});

test("a spec that isn't one ends the job for good, and says why in its log", async () => {
  await define();
  const id = await submit({
    kind: "predict",
    job: "wrong",
    model: { ...model, ...held },
    prompt: "moved",
    data: { ...texts, digest: "x" },
  });
  await expect.poll(async () => (await describeJob(id)).status, PATIENT).toBe("FAILED");
  expect((await describeJob(id)).attempts).toHaveLength(1);
  expect(logOf(id, 1)).toContain("The job's spec is not valid");
});
