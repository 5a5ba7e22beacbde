import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "../shared/graph/engine.ts";
import { bucket, jobFiles } from "../shared/protocol/bucket.ts";
import type { FileRecord } from "../shared/protocol/catalogue.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { type JobResult, type Spec, specSchema } from "../shared/protocol/job.ts";
import { validate } from "../shared/protocol/json.ts";
import { sha256 } from "../shared/protocol/manifest.ts";
import type { TrainingEvent, Watch } from "../shared/training/events.ts";
import { InterruptedError } from "../shared/training/loop.ts";
import { Bucket } from "./bucket.ts";
import { Checkpoint } from "./checkpoint.ts";
import { checkDevice } from "./device.ts";
import type { Environment } from "./environment.ts";
import { Reporter } from "./report.ts";

/** Exit codes, as the job definitions' evaluateOnExit has them: a job that ends with FAILED is not tried again. */
export const EXIT = { done: 0, crashed: 1, failed: 2, interrupted: 143 } as const;

/** Machines that are lent cheaply may vanish at any moment, and a prompt's state has only a few megabytes. A student's is large. */
const SAVE_EVERY_MS = { transfer: 2000, distill: 60_000, predict: 60_000 };

/** What a kind of job works with. */
export interface JobContext {
  readonly store: Bucket;
  /** Where models are kept. */
  readonly cache: string;
  /** CPU threads to use. */
  readonly threads: number;
  /** Where models are computed. */
  readonly device: Device;
  /** An empty folder for the job's own files. */
  readonly work: string;
  /** An empty folder whose files become the job's output. */
  readonly output: string;
  /** Where the state of the run is kept. */
  readonly statePath: string;
  /** Whether the state of an earlier attempt is there. */
  readonly resume: boolean;
  readonly watch: Watch;
}

export type Handlers = {
  readonly [K in Spec["kind"]]: (spec: Extract<Spec, { kind: K }>, job: JobContext) => Promise<void>;
};

/**
 * Runs the job whose spec is at `key` in the bucket: goes on from its last checkpoint, reports, and writes its files and at last
 * its result, once.
 *
 * @returns the exit code
 */
export async function runJob(
  kind: string,
  key: string,
  environment: Environment,
  handlers: Handlers,
  signal: AbortSignal,
): Promise<number> {
  const { cache, threads, device, attempt } = environment;
  const store = new Bucket(environment.bucket);
  const spec = await readSpec(store, kind, key).catch(fail);
  if (typeof spec === "number") return spec;
  const reporter = new Reporter(spec.kind === "transfer" ? spec.report : undefined, attempt);
  const work = await mkdtemp(join(tmpdir(), "softpost-job-"));
  try {
    // A job that was done when its machine was taken away has nothing left to do.
    if (!(await store.has(bucket.job(spec.job) + jobFiles.result))) {
      await checkDevice(device);
      await workOn(spec, { store, cache, threads, device, work, reporter, signal }, handlers);
    }
    await reporter.end("succeeded");
    return EXIT.done;
  } catch (error) {
    if (error instanceof InterruptedError || signal.aborted) {
      await reporter.end(null);
      return EXIT.interrupted;
    }
    const code = fail(error);
    if (code === EXIT.failed) await reporter.end("failed", (error as ProblemError).message);
    else await reporter.end(null);
    return code;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** @throws ProblemError if it isn't there, or not the spec of a job of this kind */
async function readSpec(store: Bucket, kind: string, key: string): Promise<Spec> {
  const title = "The job's spec is not valid";
  const spec = validate(specSchema, await store.readJson(key), key, title);
  if (spec.kind !== kind) throw new ProblemError(title, `${key} is a ${spec.kind} job.`);
  return spec;
}

/** Logs why a job failed; the exit code says whether trying again may help. */
function fail(error: unknown): number {
  // biome-ignore lint/suspicious/noConsole: a job's log is its standard error
  console.error(error);
  return error instanceof ProblemError && error.status < 500 ? EXIT.failed : EXIT.crashed;
}

interface Parts {
  readonly store: Bucket;
  readonly cache: string;
  readonly threads: number;
  readonly device: Device;
  readonly work: string;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

async function workOn(spec: Spec, { reporter, signal, ...parts }: Parts, handlers: Handlers): Promise<void> {
  const { store, work } = parts;
  const statePath = join(work, "state");
  const output = await mkdtemp(join(work, "output-"));
  const checkpoint = new Checkpoint(store, spec.job, statePath);
  const onEvent = (event: TrainingEvent) => {
    reporter.onEvent(event);
    // A checkpoint that can't be uploaded costs time if the machine goes away, but is no reason to stop.
    if (event.kind === "checkpoint") checkpoint.save().catch(() => {});
  };
  const context: JobContext = {
    ...parts,
    output,
    statePath,
    resume: await checkpoint.restore(),
    watch: { signal, onEvent, saveEvery: SAVE_EVERY_MS[spec.kind] },
  };
  try {
    await (handlers[spec.kind] as (spec: Spec, job: JobContext) => Promise<void>)(spec, context);
  } catch (error) {
    if (error instanceof InterruptedError) await checkpoint.save();
    throw error;
  }
  await writeResult(store, spec.job, output, checkpoint);
}

/**
 * Uploads the output, and the result last: where it is, the job is done. A file that another attempt wrote before stays, and is what the
 * result describes.
 */
async function writeResult(store: Bucket, job: string, output: string, checkpoint: Checkpoint): Promise<void> {
  const files: FileRecord[] = [];
  for (const name of (await readdir(output)).sort()) {
    const key = bucket.job(job) + jobFiles.output + name;
    const bytes = await readFile(join(output, name));
    const kept = (await store.writeOnce(key, bytes)) ? bytes : (await store.read(key))!;
    files.push({ name, size: kept.length, sha256: await sha256(kept) });
  }
  const result: JobResult = { files, deviceSeconds: checkpoint.deviceSeconds };
  await store.writeOnce(bucket.job(job) + jobFiles.result, JSON.stringify(result));
}
