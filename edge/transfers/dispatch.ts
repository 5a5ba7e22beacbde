import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import { anyResultSchema, leaseSchema, WITHDRAWN } from "../../shared/protocol/job.ts";
import { versionFault } from "../../shared/protocol/job-version.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { isFinal } from "../ledger/decide.ts";
import { readObject } from "../storage/read-object.ts";
import { cancelJob, findJob, submitJob, terminateJob } from "./batch.ts";
import { learnSpeed } from "./speed.ts";

/**
 * Submits the job of a stored transfer; the caller holds its lease. Where Batch can't be reached the transfer stays accepted, and
 * reconciliation tries again: its budget is reserved and nothing is lost. Where Batch refuses the job, the transfer fails and is refunded.
 */
export async function dispatch(env: Env, tenant: string, transfer: Transfer): Promise<Transfer> {
  const ledger = ledgerOf(env, tenant);
  try {
    if (!(await ledger.renew(transfer.id))) return (await ledger.get(transfer.id))?.transfer ?? transfer;
    const { kind } = (await ledger.work(transfer.id))!;
    // Only transfers are done in turn with others of their target.
    if (kind === "transfer") await announce(env, tenant, transfer.id);
    const batchJob = await submitJob(env, jobId(tenant, transfer.id), kind, transfer.reserved.deviceSeconds);
    const submitted = (await ledger.submitted(transfer.id, batchJob)) ?? transfer;
    if (submitted.state === "cancelling") return await cancel(env, tenant, submitted, batchJob);
    if (isFinal(submitted.state)) await recall(env, tenant, submitted, batchJob);
    return submitted;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    if (error.status === 502) {
      await withdraw(env, tenant, transfer.id);
      return (await abandon(env, tenant, transfer.id, error.detail)) ?? transfer;
    }
    await ledger.release(transfer.id);
    return transfer;
  }
}

/** Takes back a job whose transfer ended while it was submitted: nobody would pay for it. */
async function recall(env: Env, tenant: string, { id, state }: Transfer, batchJob: string): Promise<void> {
  // Where Batch can't be reached, the job finds the mark, or the result, and ends by itself.
  if (state !== "succeeded") await withdraw(env, tenant, id);
  await terminateJob(env, batchJob).catch(() => {});
  logEvent("recalled", { tenant, transfer: id, batchJob });
}

/**
 * Stops a transfer that was marked as cancelling, unless its result is there already; the caller holds its lease if it wasn't submitted. Where Batch can't be reached it stays
 * marked, and reconciliation tries again.
 */
export async function cancel(env: Env, tenant: string, transfer: Transfer, batchJob: string | null): Promise<Transfer> {
  const ledger = ledgerOf(env, tenant);
  try {
    const done = await settle(env, tenant, transfer.id);
    if (done) return done;
    await withdraw(env, tenant, transfer.id);
    // Not submitted as far as we know: a try whose answer got lost may still have.
    const running = batchJob ?? (await findJob(env, jobId(tenant, transfer.id)));
    if (running !== undefined) await terminateJob(env, running);
  } catch {
    await ledger.release(transfer.id);
    return transfer;
  }
  logEvent("cancelled", { tenant, transfer: transfer.id });
  const cancelled = await ledger.finish(transfer.id, "cancelled", {});
  await removeTexts(env, tenant, transfer.id);
  return cancelled ?? transfer;
}

/** Stops a transfer that isn't finished. @returns it as it is then */
export async function requestCancel(env: Env, tenant: string, id: string): Promise<Transfer> {
  const ledger = ledgerOf(env, tenant);
  const marked = (await ledger.cancelling(id))!;
  if (isFinal(marked.state)) return marked;
  const { batchJob } = (await ledger.get(id))!;
  // Before it has a job, whoever is dispatching it at this moment sees the mark and stops it.
  const mine = batchJob !== null || (await ledger.lease(id));
  return mine ? cancel(env, tenant, marked, batchJob) : marked;
}

/** Lets a job that has time take the transfer before its own job starts. Where that fails, its own job does it. */
async function announce(env: Env, tenant: string, id: string): Promise<void> {
  await env.PROMPTS.put(await waitingKey(env, tenant, id), "").catch(() => {});
}

/** Stops every job that works on the transfer, or would: within seconds, at the next renewal of its lease. */
async function withdraw(env: Env, tenant: string, id: string): Promise<void> {
  await env.PROMPTS.put(bucket.job(jobId(tenant, id)) + jobFiles.lease, JSON.stringify(WITHDRAWN));
  await env.PROMPTS.delete(await waitingKey(env, tenant, id));
}

async function waitingKey(env: Env, tenant: string, id: string): Promise<string> {
  const { targetDigest } = (await ledgerOf(env, tenant).work(id))!;
  return bucket.waiting(targetDigest) + jobId(tenant, id);
}

/**
 * Ends a transfer whose job says that it is done. The result file is what counts: it is written last, so that where it is, everything is.
 * Returns null where there is none.
 *
 * @param runner Batch's id of the job that did it: where it isn't the transfer's own, that one need not start any more
 */
export async function settle(env: Env, tenant: string, id: string, runner?: string): Promise<Transfer | null> {
  const result = await readObject(env.PROMPTS, bucket.job(jobId(tenant, id)) + jobFiles.result, anyResultSchema);
  if (!result) return null;
  if (!("files" in result)) {
    await fail(env, tenant, id, versionFault(result.version, "result")!, runner);
    return (await ledgerOf(env, tenant).get(id))?.transfer ?? null;
  }
  const { files, folder, device, precision, weights, deviceSeconds, travel, advice, ranked } = result;
  const ledger = ledgerOf(env, tenant);
  const before = await ledger.get(id);
  const end = { seconds: deviceSeconds, files, folder, device, travel, advice, ranked };
  const settled = await ledger.finish(id, "succeeded", end);
  await removeTexts(env, tenant, id);
  const job = await ledger.work(id);
  if (before?.transfer.cost === null && job?.kind === "transfer") {
    const sample = { work: job.work, seconds: deviceSeconds, at: Date.now(), tenant, device, precision, weights };
    await learnSpeed(env.PROMPTS, job.targetDigest, sample);
  }
  await dismiss(env, before?.batchJob ?? null, runner);
  if (before?.transfer.cost === null) {
    const wholeSeconds = Math.round((Date.now() - Date.parse(before.transfer.created)) / 1000);
    logEvent("settled", {
      tenant,
      transfer: id,
      device,
      deviceSeconds,
      wholeSeconds,
      runner,
      micros: settled?.cost?.micros,
    });
  }
  return settled;
}

/** Removes the texts of predictions that have ended; a transfer has none. What fails here goes when the tenant's data are deleted. */
export async function removeTexts(env: Env, tenant: string, id: string): Promise<void> {
  if ((await ledgerOf(env, tenant).work(id))?.kind !== "predict") return;
  await env.PROMPTS.delete(bucket.job(jobId(tenant, id)) + jobFiles.texts).catch(() => {});
}

/** Whether another job than the transfer's own works on it at this moment (batch/README.md). */
export async function isTaken(env: Env, tenant: string, id: string, own: string): Promise<boolean> {
  const lease = await readObject(env.PROMPTS, bucket.job(jobId(tenant, id)) + jobFiles.lease, leaseSchema);
  if (!lease) return false;
  const { holder, until } = lease;
  return ![own, WITHDRAWN.holder].includes(holder) && until > Date.now();
}

/** Fails a transfer that never got a job; its idempotency key may be used again. */
export async function abandon(env: Env, tenant: string, id: string, problem: string): Promise<Transfer | null> {
  const ended = await ledgerOf(env, tenant).abandon(id, problem);
  await removeTexts(env, tenant, id);
  if (ended?.state === "failed") logEvent("failed", { tenant, transfer: id, reason: problem });
  return ended;
}

/** Ends a transfer whose job says that it can't be done, for whoever might still work on it too: it is paid back. */
export async function fail(env: Env, tenant: string, id: string, problem: string, runner?: string): Promise<void> {
  const ledger = ledgerOf(env, tenant);
  if ((await ledger.get(id))?.transfer.cost !== null) return;
  await withdraw(env, tenant, id);
  await ledger.finish(id, "failed", { problem });
  await removeTexts(env, tenant, id);
  logEvent("failed", { tenant, transfer: id, runner, reason: problem });
  await dismiss(env, (await ledger.get(id))?.batchJob ?? null, runner);
}

/** A transfer's own job, where another did the transfer: it would only cost a start. */
async function dismiss(env: Env, own: string | null, runner: string | undefined): Promise<void> {
  if (own !== null && runner !== undefined && own !== runner) await cancelJob(env, own).catch(() => {});
}
