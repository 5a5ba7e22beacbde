/** What a job says that it needs, against what its process really took. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publishPublicSet } from "../../batch/storage/publish.ts";
import { loadBundle } from "../../infra/local/bundle.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { PublicSet } from "../../shared/protocol/catalogue.ts";
import type { Spec } from "../../shared/protocol/job.ts";
import { fixture } from "../helpers/fixtures.ts";
import { writeSizedModel } from "../helpers/sized-model.ts";
import { softpost } from "../helpers/softpost.ts";
import { jobEnvironment, type Provider, startProvider } from "../service/provider.ts";

const PEAK = fileURLToPath(new URL("../../bench/peak-job.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
const path = join(folder, "model");
const prompt = join(folder, "prompt");
const held = { precision: "fp32", weights: "fp32" } as const;

let provider: Provider;
let model: { id: string } & Awaited<ReturnType<typeof hashModel>>;
let texts: PublicSet;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  const { store } = provider;
  await writeSizedModel(path);
  model = { id: "sized", ...(await hashModel(path)) };
  for (const { name, sha256 } of model.files) {
    await store.upload(join(path, name), bucket.model(model.digest) + name, sha256);
  }
  texts = await publishPublicSet(store, { file: fixture("tiny-task/train.jsonl"), description: "" });
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const tuned = await softpost(
    "tune",
    "--model",
    path,
    ...task,
    "--steps",
    "2",
    "--prompt-tokens",
    "100",
    "--out",
    prompt,
  );
  expect(tuned.code, tuned.stderr).toBe(0);
}, 300_000);

afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a job's program. @returns the most that it said it needed, and the most that it took */
async function run(spec: Spec): Promise<{ estimate: number; peak: number }> {
  const key = bucket.job(spec.job) + jobFiles.spec;
  await provider.store.write(key, JSON.stringify(spec));
  const env = {
    ...process.env,
    ...jobEnvironment(provider, join(folder, "models")),
    AWS_BATCH_JOB_ID: `batch-${spec.job}`,
  };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [PEAK, spec.kind, key], { env });
  const said = [...stderr.matchAll(/Needs about ([\d.]+) GB/g)].map(([, gb]) => 1e9 * Number(gb));
  return { estimate: Math.max(...said), peak: Number(/^peak (\d+)$/m.exec(stdout)?.[1]) };
}

/** Measured: 0.87 to 0.96, the bucket's client and what it fetches beside the program's own. */
function within({ estimate, peak }: { estimate: number; peak: number }): void {
  expect(estimate / peak, `${estimate} for ${peak}`).toBeGreaterThan(0.8);
  expect(estimate / peak, `${estimate} for ${peak}`).toBeLessThan(1.15);
}

// /proc is Linux's.
const onLinux = test.skipIf(process.platform !== "linux");
const LONG = { timeout: 600_000 };

onLinux("distill", LONG, async () => {
  const few = { layers: [0, -1], steps: 2, batchSize: 8, maxLength: 64, learningRate: 1e-3, seed: 1 };
  const teacher = { ...model, weights: "fp32" as const };
  within(await run({ kind: "distill", job: "distil", student: "student", teacher, corpus: texts, ...few }));
});

onLinux("transfer, and predict with what comes out of it", LONG, async () => {
  const files = bucket.job("moved");
  const manifest = readFileSync(join(prompt, "softpost.json"));
  const weights = readFileSync(join(prompt, "adapter_model.safetensors"));
  await provider.store.write(files + jobFiles.manifest, manifest);
  await provider.store.write(files + jobFiles.weights, weights);
  await provider.store.write(`${bucket.waiting(model.digest)}moved`, "-");
  const sha256 = createHash("sha256").update(weights).digest("hex");
  within(
    await run({
      kind: "transfer",
      job: "moved",
      target: { ...model, ...held },
      student: { kind: "distilled", ...model },
      publicSet: texts,
      prompt: { name: "adapter_model.safetensors", size: weights.length, sha256 },
      options: {
        publicSet: texts.id,
        steps: 2,
        batchSize: 8,
        learningRate: 0.01,
        loss: "classes",
        alpha: 0,
        starts: ["words"],
        selected: null,
        seed: 0,
      },
      report: { url: "http://127.0.0.1:1", token: "token" },
    }),
  );
  within(await run({ kind: "predict", job: "labels", model: { ...model, ...held }, prompt: "moved", data: texts }));
});
