import type { JobDetail } from "@aws-sdk/client-batch";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { LEASE_MS, type Open } from "../ledger/tenant.ts";
import { sweepClosed } from "../tenants/tenant-data.ts";
import { tenantIds } from "../tenants/tenant-ids.ts";
import { describeJobs } from "./batch.ts";
import { cancel, dispatch, isTaken, settle } from "./dispatch.ts";
import { explainEnd } from "./explain.ts";

/** An upload that isn't stored after this time never will be: its request has ended long ago. */
const STORE_MS = 2 * LEASE_MS;
/** A job that Batch could not be given for this long is given up. */
const DISPATCH_MS = 3_600_000;
/** Machines come within minutes; who waits for longer waits for somebody to look (docs/runbook.md). */
const STUCK_MS = 1_800_000;

/**
 * Finds out what became of every unfinished transfer, from the bucket and from Batch: events get lost, Workers are restarted, and
 * Batch is out of reach at times. A tenant whose reconciliation fails doesn't keep the next one from its own.
 */
export async function reconcileAll(env: Env): Promise<void> {
  for await (const tenant of tenantIds(env)) {
    try {
      await reconcile(env, tenant);
    } catch (error) {
      logEvent("not reconciled", { tenant, error: String(error) });
    }
  }
  await sweepClosed(env);
}

/** The same for one tenant. */
export async function reconcile(env: Env, tenant: string): Promise<void> {
  const open = await ledgerOf(env, tenant).unfinished();
  if (open.length === 0) return;
  const submitted = open.flatMap(({ batchJob }) => batchJob ?? []);
  const details = submitted.length > 0 ? await describeJobs(env, submitted) : new Map<string, JobDetail>();
  logOpen(tenant, open, details);
  for (const entry of open) {
    const { transfer, batchJob } = entry;
    if (batchJob === null) await resume(env, tenant, entry);
    else await follow(env, tenant, { transfer, batchJob }, details.get(batchJob));
  }
}

/** How many transfers are where, and which have waited for a machine for too long. */
function logOpen(tenant: string, open: readonly Open[], details: ReadonlyMap<string, JobDetail>): void {
  const counts: Record<string, number> = {};
  for (const { transfer, batchJob } of open) {
    counts[transfer.state] = (counts[transfer.state] ?? 0) + 1;
    const job = batchJob === null ? undefined : details.get(batchJob);
    const waited = Date.now() - (job?.createdAt ?? Date.now());
    if (job?.status === "RUNNABLE" && transfer.state === "queued" && waited > STUCK_MS) {
      logEvent("stuck", { tenant, transfer: transfer.id, batchJob, minutes: Math.round(waited / 60_000) });
    }
  }
  logEvent("open", { tenant, ...counts });
}

/** A transfer without a job: goes on where its request was interrupted, or ends it. */
async function resume(env: Env, tenant: string, { transfer }: Open): Promise<void> {
  const ledger = ledgerOf(env, tenant);
  if (!(await ledger.lease(transfer.id))) return;
  if (transfer.state === "cancelling") {
    await cancel(env, tenant, transfer, null);
    return;
  }
  const age = Date.now() - Date.parse(transfer.created);
  const stored = await env.PROMPTS.head(bucket.job(jobId(tenant, transfer.id)) + jobFiles.spec);
  if (!stored && age < STORE_MS) await ledger.release(transfer.id);
  else if (!stored) await ledger.abandon(transfer.id, "The upload was interrupted; send it again.");
  // A submission whose answer got lost may have reached Batch, so giving up is cancelling.
  else if (age > DISPATCH_MS) await ledger.cancelling(transfer.id).then((marked) => cancel(env, tenant, marked!, null));
  else await dispatch(env, tenant, transfer);
}

/** A transfer with a job: what Batch says of it counts. */
async function follow(
  env: Env,
  tenant: string,
  { transfer, batchJob }: { transfer: Transfer; batchJob: string },
  job: JobDetail | undefined,
): Promise<void> {
  const ledger = ledgerOf(env, tenant);
  const { id, state } = transfer;
  if (!job || job.status === "SUCCEEDED" || job.status === "FAILED") {
    const settled = await settle(env, tenant, id);
    if (settled || (await isTaken(env, tenant, id, batchJob))) return;
    const ended = state === "cancelling" ? ("cancelled" as const) : ("failed" as const);
    await ledger.finish(id, ended, ended === "failed" ? { problem: explainEnd(job) } : {});
    const exitCode = job?.attempts?.at(-1)?.container?.exitCode;
    logEvent(ended, { tenant, transfer: id, batchJob, reason: job?.statusReason, exitCode });
  } else if (state === "cancelling") {
    await cancel(env, tenant, transfer, batchJob);
  } else if (job.status === "RUNNING") {
    await ledger.running(id);
  } else if (state === "running") {
    // Its own job waits, so another works on it, whose last word may have got lost.
    await settle(env, tenant, id, "another");
  }
}
