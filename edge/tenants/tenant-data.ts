import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import { isFinal } from "../ledger/decide.ts";
import { EXPORTED, type ExportedTable } from "../ledger/schema.ts";
import { cancel } from "../transfers/dispatch.ts";
import { keysOf } from "./tenant-ids.ts";

/** Rows of the ledger that are read at once: a transfer's row has at most some ten kilobytes. */
const PAGE = 200;
/** What jobs that were stopped still write comes within minutes; a day leaves room for a bucket that was out of reach. */
const SWEEP_MS = 86_400_000;
/** Objects that one call removes: each takes a request. */
const MAX_REMOVED = 2000;
/** Deleted tenants whose leftovers one run sweeps. */
const MAX_SWEPT = 20;
/** `btoa` takes a text, and a function so many arguments. */
const CHUNK = 0x8000;

/**
 * Everything that is stored of a tenant, a JSON object a line: the rows of its ledger, then the objects of its transfers with their bytes
 * in base 64, then the number of lines before, so that an export that was cut off is seen to be. What is the provider's own isn't in it: hashes of
 * keys, and the tokens with which jobs report.
 */
export async function* exportTenant(env: Env, tenant: string): AsyncGenerator<string> {
  let lines = 0;
  const line = (value: unknown) => {
    lines += 1;
    return `${JSON.stringify(value)}\n`;
  };
  const ledger = ledgerOf(env, tenant);
  for (const table of Object.keys(EXPORTED) as ExportedTable[]) {
    let after = 0;
    for (;;) {
      const rows = await ledger.rows(table, after, PAGE);
      for (const { row: _, ...columns } of rows) yield line({ table, ...columns });
      if (rows.length < PAGE) break;
      after = Number(rows.at(-1)!.row);
    }
  }
  for await (const key of keysOf(env, bucket.jobsOf(tenant))) {
    const object = await env.PROMPTS.get(key);
    if (!object) continue;
    const bytes = key.endsWith(`/${jobFiles.spec}`)
      ? withoutToken(await object.json())
      : new Uint8Array(await new Response(object.body).arrayBuffer());
    yield line({ object: key, size: bytes.length, base64: base64(bytes) });
  }
  yield `${JSON.stringify({ end: true, lines })}\n`;
}

export interface Closed {
  /** Objects that were removed from the bucket. */
  readonly objects: number;
  readonly datasets: Budget["privacy"]["datasets"];
}

/**
 * Deletes a tenant's data: revokes its keys, cancels what isn't finished, removes its objects and what its ledger has about it. It can be
 * repeated until it succeeds.
 *
 * @throws ProblemError (503) if a transfer can't be ended at the moment
 */
export async function closeTenant(env: Env, tenant: string): Promise<Closed> {
  const ledger = ledgerOf(env, tenant);
  await ledger.revokeKeys();
  for (const { transfer, batchJob } of await ledger.unfinished()) {
    const free = batchJob !== null || (await ledger.lease(transfer.id));
    const marked = await ledger.cancelling(transfer.id);
    const ended = free ? await cancel(env, tenant, marked!, batchJob) : marked!;
    if (!isFinal(ended.state)) {
      const detail = `The transfer ${transfer.id} is being cancelled; nobody can use the account any more. Try again in a minute.`;
      throw new ProblemError("The account can't be closed yet", detail, { status: 503 });
    }
  }
  // First the marks by which what still comes is swept away, and the account is found again.
  await env.PROMPTS.put(bucket.sweep + tenant, String(Date.now()));
  await env.PROMPTS.put(bucket.closed(tenant), "-");
  const objects = await removeObjects(env, tenant);
  if (objects === MAX_REMOVED) {
    const detail = `${objects} objects were removed, and there are more. Try again: it goes on.`;
    throw new ProblemError("The account can't be closed yet", detail, { status: 503 });
  }
  const datasets = await ledger.close(env.CURRENCY);
  await env.PROMPTS.delete(bucket.tenant(tenant));
  return { objects, datasets };
}

/** Removes what jobs have written since their tenant's data was deleted. */
export async function sweepClosed(env: Env): Promise<void> {
  let swept = 0;
  for await (const key of keysOf(env, bucket.sweep)) {
    // Marks go after a day, so that every one has its turn.
    if (++swept > MAX_SWEPT) return;
    await removeObjects(env, key.slice(bucket.sweep.length));
    const mark = await env.PROMPTS.get(key);
    if (mark && Date.now() - Number(await mark.json()) > SWEEP_MS) await env.PROMPTS.delete(key);
  }
}

/**
 * Opens a closed account again. It can be repeated until it succeeds: the mark by which the account is found goes last, the one by which its objects
 * are swept away before there can be new ones.
 *
 * @returns false if there is no closed account of this id
 */
export async function reopen(env: Env, tenant: string, open: () => Promise<void>): Promise<boolean> {
  if (!(await env.PROMPTS.head(bucket.closed(tenant)))) return false;
  await env.PROMPTS.delete(bucket.sweep + tenant);
  await open();
  await env.PROMPTS.delete(bucket.closed(tenant));
  return true;
}

async function removeObjects(env: Env, tenant: string): Promise<number> {
  let removed = 0;
  for await (const key of keysOf(env, bucket.jobsOf(tenant))) {
    await env.PROMPTS.delete(key);
    removed += 1;
    if (removed === MAX_REMOVED) break;
  }
  return removed;
}

function withoutToken(spec: unknown): Uint8Array {
  const { report: _, ...rest } = spec as Record<string, unknown>;
  return new TextEncoder().encode(JSON.stringify(rest));
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}
