import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import { ledgerOf, registerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { isFinal } from "../ledger/decide.ts";
import { keysOf } from "../tenants/tenant-ids.ts";
import { requestCancel } from "./dispatch.ts";

/** Transfers of one tenant that one run looks at: each takes some ten requests. */
const AT_ONCE = 20;
/** Who deletes what is kept for no longer, in the audit log. */
const RETENTION = "retention";

/**
 * Deletes a transfer's prompt and files, or those of predictions: cancels it where it isn't finished, and removes its objects as soon as it is. The entries of the ledger
 * stay. Where Batch or the bucket can't be reached, reconciliation goes on.
 *
 * @param actor for the audit log
 * @returns it as it is then; null if there is none
 */
export async function remove(env: Env, tenant: string, id: string, actor: string): Promise<Transfer | null> {
  const ledger = ledgerOf(env, tenant);
  // First the mark by which reconciliation finds what is left.
  await registerOf(env).add(tenant);
  const asked = await ledger.askRemoval(id, actor);
  if (!asked) return null;
  const ended = await requestCancel(env, tenant, id);
  if (isFinal(ended.state)) await removeObjects(env, tenant, id);
  return (await ledger.get(id))!.transfer;
}

/** Removes what is due of a tenant, texts of interrupted requests too. @returns whether more is to come */
export async function removeDue(env: Env, tenant: string): Promise<boolean> {
  const ledger = ledgerOf(env, tenant);
  for (const { id, ended } of await ledger.removalsDue(AT_ONCE)) if (ended) await removeObjects(env, tenant, id);
  for (const id of await ledger.uploadsDue(AT_ONCE)) {
    await env.PROMPTS.delete(bucket.job(jobId(tenant, id)) + jobFiles.texts);
    await ledger.uploadSwept(id);
  }
  return ledger.hasRemovals();
}

/** Deletes the finished transfers and predictions that a tenant no longer keeps. */
export async function removeExpired(env: Env, tenant: string): Promise<void> {
  const expired = await ledgerOf(env, tenant).expired(AT_ONCE);
  for (const id of expired) await remove(env, tenant, id, RETENTION);
  if (expired.length > 0) logEvent("expired", { tenant, transfers: expired.length });
}

async function removeObjects(env: Env, tenant: string, id: string): Promise<void> {
  const job = jobId(tenant, id);
  const { targetDigest } = (await ledgerOf(env, tenant).work(id))!;
  await env.PROMPTS.delete(bucket.waiting(targetDigest) + job);
  for await (const key of keysOf(env, bucket.job(job))) await env.PROMPTS.delete(key);
  await ledgerOf(env, tenant).removed(id);
}
