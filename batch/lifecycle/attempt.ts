import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_LENGTH, randomId } from "../../shared/protocol/ids.ts";
import type { JobResult, ResultFacts, Spec } from "../../shared/protocol/job.ts";
import { JOB_PROTOCOL } from "../../shared/protocol/job-version.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import type { TrainingEvent, Watch } from "../../shared/training/events.ts";
import type { Bucket } from "../storage/bucket.ts";
import type { Capacity } from "../storage/fit.ts";
import type { Models } from "../storage/models.ts";
import { Checkpoint } from "./checkpoint.ts";
import type { Engines } from "./engines.ts";
import type { Log } from "./log.ts";

/** Machines that are lent cheaply may vanish at any moment, and a prompt's state has only a few megabytes. A student's is large. */
const SAVE_EVERY_SECONDS = { transfer: 2, distill: 60, predict: 60 };

const NO_FACTS: ResultFacts = { travel: null, advice: [], ranked: null };

/** What a kind of job works with. */
export interface JobContext {
  readonly store: Bucket;
  readonly models: Models;
  readonly engines: Engines;
  /** What a transfer's job has (batch/environment.ts). */
  readonly capacity: Capacity | undefined;
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
  readonly [K in Spec["kind"]]: (spec: Extract<Spec, { kind: K }>, job: JobContext) => Promise<ResultFacts | undefined>;
};

export interface AttemptOptions {
  readonly store: Bucket;
  readonly models: Models;
  readonly engines: Engines;
  readonly handlers: Handlers;
  readonly checkpointSeconds: number | undefined;
  readonly capacity: Capacity | undefined;
  /** What the job runs on, by name. */
  readonly deviceName: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: TrainingEvent) => void;
  /** Is told, when work begins, what says how many seconds it took so far. */
  readonly onClock: (deviceSeconds: () => number) => void;
  readonly log: Log;
}

/**
 * Works on one job from its last checkpoint to its result.
 *
 * @returns the seconds that it took on the device, earlier attempts included
 * @throws InterruptedError when stopped, after the state was uploaded; ProblemError if the job can't be done or the device is missing
 */
export async function attempt(spec: Spec, options: AttemptOptions): Promise<number> {
  const { store, engines, log } = options;
  await engines.check();
  const work = await mkdtemp(join(tmpdir(), "softpost-job-"));
  const statePath = join(work, "state");
  const checkpoint = new Checkpoint(store, { job: spec.job, run: runOf(spec), statePath, log });
  try {
    const resume = await checkpoint.restore();
    options.onClock(() => checkpoint.deviceSeconds);
    try {
      return await workOn(spec, { ...options, work, statePath, resume, checkpoint });
    } catch (error) {
      if (!(resume && error instanceof ProblemError && error.status === 409)) throw error;
      log("started anew", { problem: error.detail });
      return await workOn(spec, { ...options, work, statePath, resume: false, checkpoint });
    }
  } finally {
    await checkpoint.settled();
    await rm(work, { recursive: true, force: true });
  }
}

/** What a checkpoint must be of: the same task for the same release, whose steps give the same bits. */
function runOf(spec: Spec): string {
  const run = JSON.stringify({ release: manifest.version, spec: { ...spec, report: undefined } });
  return createHash("sha256").update(run).digest("hex");
}

interface Parts extends AttemptOptions {
  readonly work: string;
  readonly statePath: string;
  readonly resume: boolean;
  readonly checkpoint: Checkpoint;
}

async function workOn(spec: Spec, parts: Parts): Promise<number> {
  const { store, models, engines, work, statePath, resume, checkpoint, signal } = parts;
  const output = join(work, "output");
  await rm(output, { recursive: true, force: true });
  await mkdir(output);
  const onEvent = (event: TrainingEvent) => {
    parts.onEvent(event);
    if (event.kind === "checkpoint") checkpoint.save(event.step);
    if (event.kind === "note") parts.log("note", { text: event.text });
  };
  const saveEvery = 1000 * (parts.checkpointSeconds ?? SAVE_EVERY_SECONDS[spec.kind]);
  const context: JobContext = {
    store,
    models,
    engines,
    capacity: parts.capacity,
    work,
    output,
    statePath,
    resume,
    watch: { signal, onEvent, saveEvery },
  };
  const handler = parts.handlers[spec.kind] as (spec: Spec, job: JobContext) => Promise<ResultFacts | undefined>;
  const facts = (await handler(spec, context)) ?? NO_FACTS;
  const { deviceSeconds } = checkpoint;
  const { precision, weights } =
    spec.kind === "transfer" ? spec.target : ({ precision: "fp32", weights: "fp32" } as const);
  await writeResult(store, spec.job, output, { ...facts, deviceSeconds, device: parts.deviceName, precision, weights });
  await checkpoint.clear();
  return deviceSeconds;
}

/**
 * Uploads the output into a folder of this attempt's own, and the result last, once: where it is, the job is done. On a GPU two attempts don't give
 * the same bits, so where another was first, all of this one's files go.
 */
async function writeResult(
  store: Bucket,
  job: string,
  output: string,
  facts: Omit<JobResult, "version" | "files" | "folder">,
): Promise<void> {
  const folder = `${randomId(ID_LENGTH)}/`;
  const prefix = bucket.job(job) + jobFiles.output + folder;
  const files: FileRecord[] = [];
  for (const name of (await readdir(output)).sort()) {
    const bytes = await readFile(join(output, name));
    await store.write(prefix + name, bytes);
    files.push({ name, size: bytes.length, sha256: await sha256(bytes) });
  }
  const result: JobResult = { version: JOB_PROTOCOL, files, folder, ...facts };
  const isFirst = await store.writeOnce(bucket.job(job) + jobFiles.result, JSON.stringify(result));
  // What attempts that were killed here have left goes too; one that still writes comes too late, and removes its own.
  const written = isFirst
    ? await store.list(bucket.job(job) + jobFiles.output)
    : files.map(({ name }) => prefix + name);
  for (const key of written) if (!isFirst || !key.startsWith(prefix)) await store.remove(key);
}
