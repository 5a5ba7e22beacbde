import type { JobDetail } from "@aws-sdk/client-batch";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import { ledgerOf, registerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import type { OpenCount } from "../ledger/counters.ts";
import { LEASE_MS, type Open } from "../ledger/tenant.ts";
import { backUpDaily } from "../tenants/backup.ts";
import { sweepClosed } from "../tenants/tenant-data.ts";
import { tenantIds } from "../tenants/tenant-ids.ts";
import { describeJobs } from "./batch.ts";
import { abandon, cancel, dispatch, isTaken, removeTexts, settle } from "./dispatch.ts";
import { explainEnd } from "./explain.ts";
import { sendHeartbeat } from "./heartbeat.ts";
import { removeDue, removeExpired } from "./remove.ts";

/** An upload that isn't stored after this time never will be: its request has ended long ago. */
const STORE_MS = 2 * LEASE_MS;
/** A job that Batch could not be given for this long is given up. */
const DISPATCH_MS = 3_600_000;
/** Machines come within minutes; who waits for longer waits for somebody to look (docs/runbook.md). */
const STUCK_MS = 1_800_000;
/** One run of the cron: it comes every minute, and a Worker has a limit of requests that it may send (wrangler.toml). */
const RUN_MS = 45_000;
const MAX_TENANTS = 500;
/** Transfers of all tenants, and of one, that a run looks at: each takes some five requests. */
const MAX_LOOKED = 1000;
const MAX_OF_TENANT = 100;
const AT_ONCE = 8;
/** Tenants whose finished transfers are looked through for those that are kept for no longer. */
const MAX_KEEPERS = 50;

/**
 * Looks after the tenants that may have something under way, those first whose turn was longest ago, as many as there are time and requests for; the next
 * run goes on with the others. A tenant whose reconciliation fails doesn't keep the next one from its own.
 */
export async function reconcileAll(env: Env): Promise<void> {
  const register = registerOf(env);
  if (!(await register.isSeeded())) {
    for await (const tenant of tenantIds(env)) await register.add(tenant);
    await register.seed();
  }
  const until = Date.now() + RUN_MS;
  const waiting = await register.next(MAX_TENANTS);
  let [failed, stuck, looked] = [0, 0, 0];
  const workOn = async (): Promise<void> => {
    for (let busy = waiting.shift(); busy && Date.now() < until && looked < MAX_LOOKED; busy = waiting.shift()) {
      const outcome = await reconcileQuietly(env, busy.tenant);
      failed += outcome ? 0 : 1;
      stuck += outcome?.stuck ?? 0;
      looked += outcome?.looked ?? 0;
      await register.visited(busy, outcome === undefined || outcome.open > 0 || outcome.removing, outcome?.counts);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, workOn));
  for (const tenant of await register.keepersDue(MAX_KEEPERS)) {
    await removeExpired(env, tenant).catch((error) => logEvent("not expired", { tenant, error: String(error) }));
  }
  await sweepClosed(env);
  await backUpDaily(env).catch((error) => logEvent("not backed up", { error: String(error) }));
  await register.runEnded();
  await sendHeartbeat(env, { failed, stuck });
}

/** The same for one tenant; undefined, and a line in the log, if it fails. */
export async function reconcileQuietly(env: Env, tenant: string): Promise<Outcome | undefined> {
  try {
    return await reconcile(env, tenant);
  } catch (error) {
    logEvent("not reconciled", { tenant, error: String(error) });
    return undefined;
  }
}

interface Outcome {
  /** Unfinished transfers, those of them that were looked at, and those that wait for too long. */
  readonly open: number;
  readonly looked: number;
  readonly stuck: number;
  /** Those that are unfinished now, by state. */
  readonly counts: readonly OpenCount[];
  /** Whether deleted transfers may still leave something. */
  readonly removing: boolean;
}

/** Finds out what became of a tenant's unfinished transfers, from the bucket and from Batch: events get lost, Workers are restarted, Batch is out of reach. */
async function reconcile(env: Env, tenant: string): Promise<Outcome> {
  const all = await ledgerOf(env, tenant).unfinished();
  if (all.length === 0) return { open: 0, looked: 0, stuck: 0, counts: [], removing: await removeDue(env, tenant) };
  const open = someOf(all);
  const submitted = open.flatMap(({ batchJob }) => batchJob ?? []);
  const details = submitted.length > 0 ? await describeJobs(env, submitted) : new Map<string, JobDetail>();
  const stuck = logOpen(tenant, open, details);
  for (const entry of open) {
    const { transfer, batchJob } = entry;
    if (batchJob === null) await resume(env, tenant, entry);
    else await follow(env, tenant, { transfer, batchJob }, details.get(batchJob));
  }
  const counts = countOpen((await ledgerOf(env, tenant).unfinished()).map(({ transfer }) => transfer));
  return { open: all.length, looked: open.length, stuck, counts, removing: await removeDue(env, tenant) };
}

function countOpen(open: readonly Transfer[]): OpenCount[] {
  return [...new Set(open.map(({ state }) => state))].map((state) => {
    const created = open.flatMap((each) => (each.state === state ? [Date.parse(each.created)] : []));
    return { state, count: created.length, oldest: Math.min(...created) };
  });
}

/** As many as one look may have, another part of them each minute. */
function someOf(all: readonly Open[]): readonly Open[] {
  if (all.length <= MAX_OF_TENANT) return all;
  const begin = (Math.floor(Date.now() / 60_000) * MAX_OF_TENANT) % all.length;
  return [...all.slice(begin), ...all.slice(0, begin)].slice(0, MAX_OF_TENANT);
}

/** Logs how many transfers are where, and which have waited for a machine for too long. @returns how many those are */
function logOpen(tenant: string, open: readonly Open[], details: ReadonlyMap<string, JobDetail>): number {
  const counts: Record<string, number> = {};
  let stuck = 0;
  for (const { transfer, batchJob } of open) {
    counts[transfer.state] = (counts[transfer.state] ?? 0) + 1;
    const job = batchJob === null ? undefined : details.get(batchJob);
    const waited = Date.now() - (job?.createdAt ?? Date.now());
    if (job?.status === "RUNNABLE" && transfer.state === "queued" && waited > STUCK_MS) {
      stuck += 1;
      logEvent("stuck", { tenant, transfer: transfer.id, batchJob, minutes: Math.round(waited / 60_000) });
    }
  }
  logEvent("open", { tenant, ...counts });
  return stuck;
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
  else if (!stored) await abandon(env, tenant, transfer.id, "The upload was interrupted; send it again.");
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
    await removeTexts(env, tenant, id);
    const { exitCode, logStreamName: log } = job?.attempts?.at(-1)?.container ?? {};
    logEvent(ended, { tenant, transfer: id, batchJob, reason: job?.statusReason, exitCode, log });
  } else if (state === "cancelling") {
    await cancel(env, tenant, transfer, batchJob);
  } else if (job.status === "RUNNING") {
    await ledger.running(id);
  } else if (state === "running") {
    // Its own job waits, so another works on it, whose last word may have got lost.
    await settle(env, tenant, id, "another");
  }
}
