import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { reportSchema, type Spec, specSchema } from "../../shared/protocol/job.ts";
import { JOB_PROTOCOL, versionFault } from "../../shared/protocol/job-version.ts";
import { validate } from "../../shared/protocol/json.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import { type Bucket, isOutOfReach } from "../storage/bucket.ts";
import { type AttemptOptions, attempt } from "./attempt.ts";
import { countCrash, MAX_CRASHES } from "./crashes.ts";
import type { Lease } from "./lease.ts";
import { jobLog, writeMetrics } from "./log.ts";
import { Reporter, reportTarget } from "./report.ts";

/** How work on a job ended: `failed` if trying again is of no use, `unreachable` if the storage was not to be had for longer than its client tries. */
export type Outcome = "done" | "failed" | "crashed" | "interrupted" | "unreachable";

/** What all work of one job start has in common. */
export interface Start extends Omit<AttemptOptions, "onEvent" | "onClock" | "log"> {
  /** Batch's id of the job. */
  readonly id: string;
  /** Which of Batch's attempts this is, from 1. */
  readonly attempt: number;
  /** Where the edge is reached, if not where the spec says. */
  readonly edge: string | undefined;
}

/** Works on one job, reports how it goes and logs how it ended. */
export async function runOne(spec: Spec, start: Start, lease?: Lease): Promise<Outcome> {
  const { kind, job } = spec;
  const log = jobLog({ kind, job, runner: start.id });
  const signal = lease ? AbortSignal.any([start.signal, lease.lost]) : start.signal;
  const report = spec.kind === "distill" ? undefined : spec.report;
  const target = report && reportTarget(report, start.edge);
  const reporter = new Reporter(target, lease?.epoch ?? start.attempt, start.id, start.deviceName);
  const end = async (outcome: Outcome, problem?: string, deviceSeconds?: number) => {
    log(outcome, { problem, deviceSeconds });
    const metrics = { [outcome]: 1, ...(deviceSeconds !== undefined && { deviceSeconds }) };
    writeMetrics(kind, metrics, { job, runner: start.id });
    const state = outcome === "done" ? "succeeded" : outcome === "failed" ? "failed" : null;
    await reporter.end(state, problem);
    return outcome;
  };
  log("started", { epoch: lease?.epoch, attempt: start.attempt });
  try {
    const onClock = (clock: () => number) => {
      reporter.deviceSeconds = clock;
    };
    const deviceSeconds = await attempt(spec, { ...start, signal, onEvent: reporter.onEvent, onClock, log });
    return await end("done", undefined, deviceSeconds);
  } catch (error) {
    if (error instanceof InterruptedError || signal.aborted) return await end("interrupted");
    if (isFailure(error)) return await end("failed", error.message);
    const stack = String((error as Error)?.stack ?? error);
    if (isOutOfReach(error)) return await end("unreachable", stack);
    const count = await countCrash(start.store, job).catch(() => 0);
    if (count < MAX_CRASHES) return await end("crashed", stack);
    log("crashed", { problem: stack });
    return await end("failed", `The job crashed ${count} times. The provider's log says why.`);
  }
}

/** Whether a job's result is there: then nothing is left to do. */
export function isDone(store: Bucket, job: string): Promise<boolean> {
  return store.has(bucket.job(job) + jobFiles.result);
}

/** @throws ProblemError if it isn't there, of a release that this one doesn't know, or not the spec of a job of this kind */
export async function readSpec<K extends Spec["kind"]>(
  store: Bucket,
  kind: K,
  key: string,
): Promise<Extract<Spec, { kind: K }>> {
  const title = "The job's spec is not valid";
  const value = await store.readJson(key);
  const fault = versionFault((value as { version?: number }).version ?? JOB_PROTOCOL, "spec");
  if (fault !== undefined) throw new WrongVersion(fault, value);
  const spec = validate(specSchema, value, key, title);
  if (spec.kind !== kind) throw new ProblemError(title, `${key} is a ${spec.kind} job.`);
  return spec as Extract<Spec, { kind: K }>;
}

/** The spec of a job that this release can't do. */
class WrongVersion extends ProblemError {
  readonly spec: unknown;

  constructor(fault: string, spec: unknown) {
    super("The job is of another release", fault);
    this.spec = spec;
  }
}

/** Tells the edge of a job that this release can't do, where the spec says how, so that the client learns why. */
export async function tellWrongVersion(error: unknown, { id, edge, deviceName }: Start): Promise<void> {
  if (!(error instanceof WrongVersion)) return;
  const told = z.object({ report: reportSchema }).safeParse(error.spec);
  if (!told.success) return;
  await new Reporter(reportTarget(told.data.report, edge), 1, id, deviceName).end("failed", error.detail);
}

/** Whether trying again is of no use. */
export function isFailure(error: unknown): error is ProblemError {
  return error instanceof ProblemError && error.status < 500;
}
