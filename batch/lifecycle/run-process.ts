import type { Environment } from "../environment.ts";
import { Bucket, isOutOfReach } from "../storage/bucket.ts";
import { Models } from "../storage/models.ts";
import type { Handlers } from "./attempt.ts";
import { runShift } from "./coalesce.ts";
import { deviceName } from "./device-name.ts";
import { Engines } from "./engines.ts";
import { jobLog } from "./log.ts";
import { isDone, isFailure, type Outcome, readSpec, runOne, type Start, tellWrongVersion } from "./run-job.ts";

/** Exit codes, as the job definitions' evaluateOnExit has them: a job that ends with `failed` is not tried again, all else is. */
const EXIT: Readonly<Record<Outcome, number>> = { done: 0, crashed: 1, failed: 2, unreachable: 75, interrupted: 143 };

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
  const { cache, threads, device, checkpointSeconds, id, attempt, edge } = environment;
  const store = new Bucket(environment.bucket);
  const engines = new Engines({ threads, device });
  const start = {
    store,
    models: new Models(store, cache),
    engines,
    handlers,
    checkpointSeconds,
    signal,
    id,
    attempt,
    edge,
    capacity: environment.capacity,
    deviceName: await deviceName(device),
  };
  try {
    return EXIT[await run(kind, key, start)];
  } catch (error) {
    await tellWrongVersion(error, start);
    const outcome = isFailure(error) ? "failed" : isOutOfReach(error) ? "unreachable" : "crashed";
    jobLog({ kind, key, runner: id })(outcome, { problem: String((error as Error)?.stack ?? error) });
    return EXIT[outcome];
  } finally {
    await engines.close();
  }
}

async function run(kind: string, key: string, start: Start): Promise<Outcome> {
  if (kind === "transfer") return runShift(await readSpec(start.store, kind, key), start);
  const spec = await readSpec(start.store, kind === "distill" ? kind : "predict", key);
  return (await isDone(start.store, spec.job)) ? "done" : runOne(spec, start);
}
