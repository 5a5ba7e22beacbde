/** The program of the serving process: everything that it needs to know is in its environment (environment.ts). */
import { join } from "node:path";
import { Bucket } from "../batch/storage/bucket.ts";
import { useProxies } from "../shared/data/proxy.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { OwnBackend } from "./engine/own-backend.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { log, whereOf } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { fetchPrompt, type PromptKey } from "./prompts/served-prompt.ts";
import { startServer } from "./server.ts";
import { openTarget } from "./target.ts";
import { Outbox } from "./usage/outbox.ts";
import { VllmBackend } from "./vllm/vllm-backend.ts";

/** How often a process looks whether its parent lives; in a container there is none. */
const PARENT_MS = 1000;
/** How long those who wait have to be told that the engine failed. */
const LAST_ANSWERS_MS = 100;

async function main(): Promise<void> {
  const environment = readEnvironment(process.env);
  const store = new Bucket(environment.bucket);
  const target = await openTarget(store, environment);
  const metrics = new Metrics();
  const outbox = new Outbox({
    path: join(environment.SERVING_STATE, "usage.jsonl"),
    url: environment.REPORT_URL,
    secret: environment.SERVING_SECRET,
  });
  const parts = {
    environment,
    target,
    outbox,
    metrics,
    fetchPrompt: (key: PromptKey) => fetchPrompt(store, key, target),
  };
  const server =
    environment.SERVING_BACKEND === "vllm"
      ? await startServer({ ...parts, backend: vllmBackend(target, environment) })
      : await startServer({ ...parts, backend: await ownBackend(target, environment, metrics) });
  log("listening", { url: server.url, target: target.record.id });
  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    log("stopping");
    await server.close();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stop(), PARENT_MS).unref();
}

function ownBackend(target: OpenModel, environment: Environment, metrics: Metrics): Promise<OwnBackend> {
  const { SERVING_SLOTS: slots, SOFTPOST_THREADS: threads, SOFTPOST_DEVICE: device } = environment;
  return OwnBackend.open(
    target,
    { slots, threads, device },
    {
      onStep: (rows, seconds) => metrics.step(rows, seconds),
      // Whoever runs the process starts it again.
      onFailure: (error) => {
        log("engine failed", { error: whereOf(error) });
        setTimeout(() => process.exit(1), LAST_ANSWERS_MS);
      },
    },
  );
}

function vllmBackend(target: OpenModel, { VLLM_URL: url, VLLM_MODEL: model }: Environment): VllmBackend {
  return new VllmBackend(target, { url: url!, model: model ?? target.record.id });
}

await useProxies();
await main().catch((error: unknown) => {
  if (!(error instanceof ProblemError)) throw error;
  log("not started", { problem: error.message, faults: error.faults.map((f) => `${f.at}: ${f.message}`).join(" ") });
  process.exitCode = 2;
});
