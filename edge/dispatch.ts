import { bucket, jobFiles } from "../shared/protocol/bucket.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { jobId } from "../shared/protocol/ids.ts";
import { resultSchema } from "../shared/protocol/job.ts";
import type { Transfer } from "../shared/protocol/transfer.ts";
import { ledgerOf } from "./auth.ts";
import { findJob, submitJob, terminateJob } from "./batch.ts";
import { learnSpeed } from "./cost.ts";
import type { Env } from "./env.ts";

/**
 * Submits the job of a stored transfer; the caller holds its lease. Where Batch can't be reached the transfer stays accepted, and
 * reconciliation tries again: its budget is reserved and nothing is lost. Where Batch refuses the job, the transfer fails and is refunded.
 */
export async function dispatch(env: Env, tenant: string, transfer: Transfer): Promise<Transfer> {
  const ledger = ledgerOf(env, tenant);
  try {
    const batchJob = await submitJob(env, jobId(tenant, transfer.id), transfer.reserved.deviceSeconds);
    const submitted = (await ledger.submitted(transfer.id, batchJob)) ?? transfer;
    return submitted.state === "cancelling" ? await cancel(env, tenant, submitted, batchJob) : submitted;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    if (error.status === 502) return (await ledger.abandon(transfer.id, error.detail)) ?? transfer;
    await ledger.release(transfer.id);
    return transfer;
  }
}

/**
 * Stops a transfer that was marked as cancelling; the caller holds its lease if it wasn't submitted. Where Batch can't be reached it stays
 * marked, and reconciliation tries again.
 */
export async function cancel(env: Env, tenant: string, transfer: Transfer, batchJob: string | null): Promise<Transfer> {
  const ledger = ledgerOf(env, tenant);
  try {
    // Not submitted as far as we know: a try whose answer got lost may still have.
    const running = batchJob ?? (await findJob(env, jobId(tenant, transfer.id)));
    if (running !== undefined) await terminateJob(env, running);
  } catch {
    await ledger.release(transfer.id);
    return transfer;
  }
  return (await ledger.finish(transfer.id, "cancelled", {})) ?? transfer;
}

/**
 * Ends a transfer whose job says that it is done. The result file is what counts: it is written last, so that where it is, everything is.
 * Returns null where there is none.
 */
export async function settle(env: Env, tenant: string, id: string): Promise<Transfer | null> {
  const object = await env.PROMPTS.get(bucket.job(jobId(tenant, id)) + jobFiles.result);
  if (!object) return null;
  const { files, deviceSeconds } = resultSchema.parse(await object.json());
  const ledger = ledgerOf(env, tenant);
  const before = await ledger.get(id);
  const settled = await ledger.finish(id, "succeeded", { seconds: deviceSeconds, files });
  const job = await ledger.work(id);
  if (before?.transfer.cost === null && job) await learnSpeed(env.PROMPTS, job.targetDigest, job.work, deviceSeconds);
  return settled;
}
