import {
  BatchClient,
  CancelJobCommand,
  DescribeJobsCommand,
  type JobDetail,
  ListJobsCommand,
  SubmitJobCommand,
  TerminateJobCommand,
} from "@aws-sdk/client-batch";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { SHIFT_SECONDS } from "../../shared/protocol/job.ts";
import type { Env } from "../env.ts";
import type { JobKind } from "../ledger/store.ts";

/** Batch answers within a second; who waits longer is better served by another try. */
const REQUEST_MS = 2500;
/** With the pauses between them, well within a lease (`LEASE_MS`). */
const TRIES = 3;
const PAUSE_MS = 200;
/**
 * A job that hangs is stopped after this many times what was reserved for it, and not before some minutes: it may also be that the
 * machine is slow today, which costs the provider, not the client, who never pays more than the reservation. For a transfer's comes on top
 * the time in which it works on other transfers.
 */
const TIMEOUT_FACTOR = 3;
const MIN_TIMEOUT_SECONDS = 600;
/** DescribeJobs takes as many at once. */
const MAX_DESCRIBED = 100;

function clientOf(env: Env): BatchClient {
  return new BatchClient({
    region: env.AWS_REGION,
    credentials: { accessKeyId: env.AWS_ACCESS_KEY_ID, secretAccessKey: env.AWS_SECRET_ACCESS_KEY },
    ...(env.BATCH_ENDPOINT && { endpoint: env.BATCH_ENDPOINT }),
    // The SDK doesn't retry workerd's "Network connection lost"; `retry` does, and looks first whether the last try got through.
    maxAttempts: 1,
    requestHandler: { requestTimeout: REQUEST_MS },
  });
}

/**
 * Submits a transfer's job unless it was submitted already: SubmitJob knows no idempotency token, so the job's name is what
 * it is recognised by.
 *
 * @param reservedSeconds what the client pays for at most
 * @returns Batch's id of the job
 * @throws ProblemError (502) if Batch refuses it, (503) if it can't be reached
 */
export function submitJob(env: Env, job: string, kind: JobKind, reservedSeconds: number): Promise<string> {
  const client = clientOf(env);
  return retry(async () => {
    const earlier = await findJob(env, job, client);
    if (earlier !== undefined) return earlier;
    const command = new SubmitJobCommand({
      jobName: job,
      jobQueue: env.BATCH_QUEUE,
      jobDefinition: kind === "transfer" ? env.BATCH_TRANSFER_DEFINITION : env.BATCH_PREDICT_DEFINITION,
      parameters: { spec: bucket.job(job) + jobFiles.spec },
      timeout: { attemptDurationSeconds: timeoutSeconds(kind, reservedSeconds) },
    });
    return (await client.send(command)).jobId!;
  });
}

function timeoutSeconds(kind: JobKind, reservedSeconds: number): number {
  const own = Math.max(MIN_TIMEOUT_SECONDS, TIMEOUT_FACTOR * reservedSeconds);
  return kind === "transfer" ? SHIFT_SECONDS + own : own;
}

/** Batch's id of the job with this name, if there is one. */
export async function findJob(env: Env, job: string, client = clientOf(env)): Promise<string | undefined> {
  const filters = [{ name: "JOB_NAME", values: [job] }];
  const { jobSummaryList = [] } = await client.send(new ListJobsCommand({ jobQueue: env.BATCH_QUEUE, filters }));
  return jobSummaryList.find(({ jobName }) => jobName === job)?.jobId;
}

/** Stops a job, wherever it is; one that has ended stays as it is. */
export async function terminateJob(env: Env, batchJob: string): Promise<void> {
  const command = new TerminateJobCommand({ jobId: batchJob, reason: "Cancelled by the client." });
  await retry(() => clientOf(env).send(command));
}

/** Takes a job off the queue whose transfer another job has done. One that has started stays: it finds the result, and ends. */
export async function cancelJob(env: Env, batchJob: string): Promise<void> {
  const command = new CancelJobCommand({ jobId: batchJob, reason: "Another job has done its transfer." });
  await retry(() => clientOf(env).send(command));
}

/** What Batch says of the jobs; those that it has forgotten are missing. */
export async function describeJobs(env: Env, batchJobs: readonly string[]): Promise<Map<string, JobDetail>> {
  const found = new Map<string, JobDetail>();
  for (let i = 0; i < batchJobs.length; i += MAX_DESCRIBED) {
    const command = new DescribeJobsCommand({ jobs: batchJobs.slice(i, i + MAX_DESCRIBED) });
    const { jobs = [] } = await retry(() => clientOf(env).send(command));
    for (const job of jobs) found.set(job.jobId!, job);
  }
  return found;
}

/** Tries again what may have been a passing fault. @throws ProblemError (502) at a refusal, (503) when all tries failed */
async function retry<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (cause) {
      if (isRefusal(cause)) {
        throw new ProblemError("The job was refused", `Batch said: ${cause.message}.`, { status: 502, cause });
      }
      if (attempt === TRIES) {
        throw new ProblemError("Batch can't be reached", "Try again in a moment.", { status: 503, cause });
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** attempt * (0.5 + Math.random())));
    }
  }
}

/** Throttling and timeouts pass; any other 4xx says that the request itself is wrong. */
function isRefusal(error: unknown): error is Error {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
  const name = (error as Error).name;
  return status >= 400 && status < 500 && status !== 408 && status !== 429 && !/Throttl|TooManyRequests/.test(name);
}
