import { bucket, jobFiles } from "../shared/protocol/bucket.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { type Spec, specSchema } from "../shared/protocol/job.ts";
import { validate } from "../shared/protocol/json.ts";
import { InterruptedError } from "../shared/training/loop.ts";
import { attempt, type Handlers } from "./attempt.ts";
import { Bucket } from "./bucket.ts";
import type { Environment } from "./environment.ts";
import { jobLog, type Log } from "./log.ts";
import { Models } from "./models.ts";
import { Reporter } from "./report.ts";

/** Exit codes, as the job definitions' evaluateOnExit has them: a job that ends with FAILED is not tried again. */
export const EXIT = { done: 0, crashed: 1, failed: 2, interrupted: 143 } as const;

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
  const { cache, threads, checkpointSeconds } = environment;
  const log = jobLog({ kind, attempt: environment.attempt });
  const store = new Bucket(environment.bucket);
  const spec = await readSpec(store, kind, key).catch((error) => fail(error, log));
  if (typeof spec === "number") return spec;
  const reporter = new Reporter(spec.kind === "transfer" ? spec.report : undefined, environment.attempt);
  const models = new Models(store, cache);
  try {
    // A job that was done when its machine was taken away has nothing left to do.
    if (!(await store.has(bucket.job(spec.job) + jobFiles.result))) {
      const { onEvent } = reporter;
      await attempt(spec, { store, models, threads, handlers, checkpointSeconds, signal, onEvent, log });
    }
    await reporter.end("succeeded");
    return EXIT.done;
  } catch (error) {
    if (error instanceof InterruptedError || signal.aborted) {
      await reporter.end(null);
      return EXIT.interrupted;
    }
    const code = fail(error, log);
    if (code === EXIT.failed) await reporter.end("failed", (error as ProblemError).message);
    else await reporter.end(null);
    return code;
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
function fail(error: unknown, log: Log): number {
  const problem = error instanceof ProblemError && error.status < 500;
  log(problem ? "failed" : "crashed", { problem: String((error as Error)?.stack ?? error) });
  return problem ? EXIT.failed : EXIT.crashed;
}
