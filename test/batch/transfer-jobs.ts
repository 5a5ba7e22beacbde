/** Transfer jobs of a tiny model in a provider's bucket, and the processes that run them. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { publishPublicSet } from "../../batch/storage/publish.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { resultSchema, type TransferSpec } from "../../shared/protocol/job.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { jobEnvironment, type Provider } from "../service/provider.ts";

const JOB = fileURLToPath(new URL("../../batch/main.ts", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its log, a JSON object a line. */
  readonly log: readonly Record<string, unknown>[];
}

export type TransferJobs = Awaited<ReturnType<typeof transferJobs>>;

/** Publishes the tiny model, as target and student at once, and a public set, and tunes a prompt in `folder`. */
export async function transferJobs(provider: Provider, folder: string) {
  const { store } = provider;
  const model = { id: "tiny-gpt2", ...(await hashModel(fixture("tiny-gpt2"))) };
  for (const { name, sha256 } of model.files) {
    await store.upload(join(fixture("tiny-gpt2"), name), bucket.model(model.digest) + name, sha256);
  }
  const publicSet = await publishPublicSet(store, { file: fixture("tiny-task/test.jsonl"), description: "" });
  const prompt = join(folder, "prompt");
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const few = ["--steps", "3", "--prompt-tokens", "4", "--out", prompt];
  const tuned = await softpost("tune", "--model", fixture("tiny-gpt2"), ...task, ...few);
  if (tuned.code !== 0) throw new Error(tuned.stderr);
  const manifest = readFileSync(join(prompt, "softpost.json"));
  const weights = readFileSync(join(prompt, "adapter_model.safetensors"));
  const sha256 = createHash("sha256").update(weights).digest("hex");

  return {
    model,
    publicSet,
    /** The prompt's folder. */
    prompt,
    /** Writes a job's folder as the edge does. */
    async put(
      job: string,
      options: Partial<TransferSpec["options"]>,
      report = "http://127.0.0.1:1",
      {
        student = model,
        uploaded = manifest as Uint8Array | string,
        alternatives = undefined as TransferSpec["alternatives"],
      } = {},
    ): Promise<void> {
      const spec: TransferSpec = {
        kind: "transfer",
        job,
        target: { ...model, precision: "fp32", weights: "fp32" },
        student: { kind: "distilled", ...student },
        publicSet,
        ...(alternatives && { alternatives }),
        prompt: { name: "adapter_model.safetensors", size: weights.length, sha256 },
        options: {
          publicSet: publicSet.id,
          steps: 20,
          batchSize: 2,
          learningRate: 0.01,
          loss: "classes",
          alpha: 0.5,
          starts: ["words"],
          selected: null,
          seed: 0,
          ...options,
        },
        report: { url: report, token: "token" },
      };
      const key = bucket.job(job);
      await store.write(key + jobFiles.weights, weights);
      await store.write(key + jobFiles.manifest, uploaded);
      await store.write(key + jobFiles.spec, JSON.stringify(spec));
      await store.write(bucket.waiting(model.digest) + job, "-");
    },
    /** Runs the job's program until it ends. */
    run(job: string, env: Record<string, string> = {}): Promise<Ended> {
      const child = spawn(process.execPath, [JOB, "transfer", bucket.job(job) + jobFiles.spec], {
        stdio: ["ignore", "ignore", "pipe"],
        env: {
          ...process.env,
          ...jobEnvironment(provider, join(folder, "models")),
          AWS_BATCH_JOB_ID: `batch-${job}`,
          // The second process starts faster.
          NODE_COMPILE_CACHE: join(folder, "compiled"),
          ...env,
        },
      });
      let text = "";
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      return new Promise((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => {
          const lines = text.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
          resolve({ code, signal, log: lines.map((line) => JSON.parse(line)) });
        });
      });
    },
    /** The transferred prompt's tensor file. */
    async output(job: string): Promise<Buffer> {
      const { folder } = resultSchema.parse(await store.readJson(bucket.job(job) + jobFiles.result));
      return Buffer.from(await store.need(`${bucket.job(job)}${jobFiles.output}${folder}adapter_model.safetensors`));
    },
  };
}
