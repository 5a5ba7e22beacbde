/**
 * The program of the serving process: everything that it needs to know is in its environment (environment.ts). `fetch LINK` only downloads
 * the target, and makes a link to it, for another server.
 */
import { rename, symlink } from "node:fs/promises";
import { join } from "node:path";
import { Bucket } from "../batch/storage/bucket.ts";
import { useProxies } from "../shared/data/proxy.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { MaskedBackend } from "./engine/masked-backend.ts";
import { OwnBackend } from "./engine/own-backend.ts";
import { readEnvironment } from "./environment.ts";
import { log, logLevel, whereOf } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { fetchPrompt, type PromptKey } from "./prompts/served-prompt.ts";
import { type Parts, type RunningServer, startServer } from "./server.ts";
import { openTarget } from "./target.ts";
import { Outbox } from "./usage/outbox.ts";
import { VllmBackend } from "./vllm/vllm-backend.ts";

/** How often a process looks whether its parent lives; in a container there is none. */
const PARENT_MS = 1000;
const LEVEL_MS = 20_000;
/** How long those who wait have to be told that the engine failed. */
const LAST_ANSWERS_MS = 100;

async function main([command, link]: readonly string[]): Promise<void> {
  const environment = readEnvironment(process.env);
  const store = new Bucket(environment.bucket);
  const target = await openTarget(store, environment);
  if (command === "fetch") return linkTo(target.folder, link!);
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
  const server = await startWithBackend(parts);
  // On ECS, which says so, the number of tasks follows this.
  if (process.env.AWS_EXECUTION_ENV) {
    setInterval(() => logLevel(target.record.id, metrics.requestCount), LEVEL_MS).unref();
  }
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

/** Makes a link to a folder, in place of another one. */
async function linkTo(folder: string, link: string): Promise<void> {
  const own = `${link}.${process.pid}`;
  await symlink(folder, own);
  await rename(own, link);
}

async function startWithBackend(parts: Omit<Parts<never>, "backend">): Promise<RunningServer> {
  const { environment, target, metrics } = parts;
  const { SERVING_SLOTS: slots, SOFTPOST_THREADS: threads, SOFTPOST_DEVICE: device } = environment;
  if (environment.SERVING_BACKEND === "vllm") {
    const { VLLM_URL: url, VLLM_MODEL: model = target.record.id } = environment;
    return startServer({ ...parts, backend: new VllmBackend(target, { url: url!, model }) });
  }
  if (target.model.kind === "masked") {
    return startServer({ ...parts, backend: new MaskedBackend(target.model, { threads, device }) });
  }
  const backend = await OwnBackend.open(
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
    { onEvent: (event) => event.kind === "note" && log("memory", { note: event.text }) },
  );
  return startServer({ ...parts, backend });
}

await useProxies();
await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof ProblemError)) throw error;
  log("not started", { problem: error.message, faults: error.faults.map((f) => `${f.at}: ${f.message}`).join(" ") });
  process.exitCode = 2;
});
