import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Env } from "../env.ts";
import { ledgerOf, registerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { type DumpedRows, inChunks } from "../ledger/dump.ts";
import { SCHEMA_VERSION } from "../ledger/migrations.ts";
import { keysOf, tenantIds } from "./tenant-ids.ts";

/** Rows that are read at once at most, and that one object of a backup has. */
const PAGE = 200;
const IV_BYTES = 12;
/** Tenants that one scheduled run backs up. */
const MAX_TENANTS = 50;
/** How long backups are kept that the schedule has made. */
const KEPT_DAYS = 30;
const DAY_MS = 86_400_000;

const TITLE = "There is no such backup";
const chunkSchema = z.object({
  table: z.string(),
  rows: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()]))),
});

/** Whether there is a key, without which nothing is backed up. */
function hasBackupKey(env: Env): boolean {
  return env.BACKUP_KEY !== undefined && env.BACKUP_KEY !== "";
}

/**
 * Writes a tenant's ledger into the bucket, hashes of keys and all: some rows an object, each compressed and encrypted (AES-256-GCM) under its own
 * name, so that none can be put in the place of another. The last one says how many there are: without it, there is no backup.
 */
export async function backUp(env: Env, name: string, tenant: string): Promise<void> {
  const ledger = ledgerOf(env, tenant);
  const key = await secretKey(env);
  let chunks = 0;
  const write = async (at: string, value: unknown) => {
    const path = bucket.backup(name, tenant) + at;
    await env.PROMPTS.put(path, await seal(key, path, value));
  };
  for (const table of await ledger.tables()) {
    for (let after = 0; ; ) {
      const page = await ledger.dumped(table, after, PAGE);
      if (page.length === 0) break;
      after = page.at(-1)!.row;
      const rows = page.map(({ row: _, ...columns }) => columns);
      await write(String(chunks++), { table, rows });
    }
  }
  await write("end", { chunks, schema: SCHEMA_VERSION });
}

/**
 * Sets a ledger back to a backup. What was released since stays released; objects of the bucket are as they are.
 *
 * @throws ProblemError (404) if there is none, (422) if it was written with another key or by a newer release
 */
export async function restoreBackup(env: Env, name: string, tenant: string): Promise<void> {
  const key = await secretKey(env);
  const read = async <S extends z.ZodType>(at: string, schema: S): Promise<z.output<S>> => {
    const path = bucket.backup(name, tenant) + at;
    const object = await env.PROMPTS.get(path);
    if (!object) throw new ProblemError(TITLE, `${path} is not there.`, { status: 404 });
    return schema.parse(await open(key, path, new Uint8Array(await new Response(object.body).arrayBuffer())));
  };
  const { chunks, schema } = await read("end", z.object({ chunks: z.int(), schema: z.int() }));
  if (schema > SCHEMA_VERSION)
    throw misfit(`its ledgers are of version ${schema}, this release's of ${SCHEMA_VERSION}`);
  const ledger = ledgerOf(env, tenant);
  await ledger.stage(null);
  for (let i = 0; i < chunks; i++) {
    const { table, rows }: DumpedRows = await read(String(i), chunkSchema);
    // Earlier releases bounded their objects by rows, not by bytes.
    for (const some of inChunks(rows)) await ledger.stage(JSON.stringify({ table, rows: some }));
  }
  // Transfers that ended since are unfinished again, and the account may have been closed.
  await registerOf(env).add(tenant);
  await env.PROMPTS.put(bucket.tenant(tenant), JSON.stringify({ id: tenant }));
  await env.PROMPTS.delete(bucket.sweep + tenant);
  await env.PROMPTS.delete(bucket.closed(tenant));
  const fault = await ledger.restoreStaged();
  if (fault !== null) throw misfit(fault);
}

function misfit(fault: string): ProblemError {
  const detail = `It does not fit this release: ${fault}. Restore it with the release that wrote it, or a later one.`;
  return new ProblemError("The backup can't be restored", detail, { status: 422 });
}

/** Backs up every tenant once a day, some at each run, and removes what is older than is kept. */
export async function backUpDaily(env: Env): Promise<void> {
  const day = new Date().toISOString().slice(0, 10);
  const register = registerOf(env);
  if (!hasBackupKey(env) || (await register.isBackedUp(day))) return;
  const done = new Set(await backedUp(env, day));
  let left = MAX_TENANTS;
  for await (const tenant of tenantIds(env)) {
    if (done.has(tenant)) continue;
    if (left-- === 0) return;
    await backUp(env, day, tenant);
  }
  for await (const key of keysOf(env, bucket.backups)) {
    const made = Date.parse(key.slice(bucket.backups.length).slice(0, "2026-11-30".length));
    if (Date.now() - made > KEPT_DAYS * DAY_MS) await env.PROMPTS.delete(key);
  }
  await register.backedUp(day);
  logEvent("backed up", { day });
}

/** The tenants of which a backup is whole. */
export async function backedUp(env: Env, name: string): Promise<string[]> {
  return (await backups(env, `${name}/`))[0]?.tenants ?? [];
}

/** Backups, and the tenants of which each is whole. @param begin how the names begin */
export async function backups(env: Env, begin = ""): Promise<{ name: string; tenants: string[] }[]> {
  const found = new Map<string, string[]>();
  for await (const key of keysOf(env, bucket.backups + begin)) {
    const [, name = "", tenant = "", at] = key.split("/");
    const tenants = found.get(name) ?? [];
    if (at === "end") tenants.push(tenant);
    found.set(name, tenants);
  }
  return [...found].map(([name, tenants]) => ({ name, tenants }));
}

async function secretKey(env: Env): Promise<CryptoKey> {
  if (!hasBackupKey(env)) {
    const detail = "The Worker has no BACKUP_KEY: 32 random bytes in base64 (docs/deploy.md).";
    throw new ProblemError("There are no backups", detail, { status: 409 });
  }
  const bytes = Uint8Array.from(atob(env.BACKUP_KEY!), (character) => character.charCodeAt(0));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

async function seal(key: CryptoKey, path: string, value: unknown): Promise<Uint8Array> {
  const plain = new Response(JSON.stringify(value)).body!.pipeThrough(new CompressionStream("gzip"));
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const options = { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(path) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(options, key, await new Response(plain).arrayBuffer()));
  const whole = new Uint8Array(IV_BYTES + sealed.length);
  whole.set(iv);
  whole.set(sealed, IV_BYTES);
  return whole;
}

async function open(key: CryptoKey, path: string, whole: Uint8Array): Promise<unknown> {
  const options = { name: "AES-GCM", iv: whole.subarray(0, IV_BYTES), additionalData: new TextEncoder().encode(path) };
  try {
    const packed = await crypto.subtle.decrypt(options, key, whole.subarray(IV_BYTES));
    return await new Response(new Response(packed).body!.pipeThrough(new DecompressionStream("gzip"))).json();
  } catch (cause) {
    const detail = `${path} was written with another BACKUP_KEY, or is damaged.`;
    throw new ProblemError("The backup can't be read", detail, { status: 422, cause });
  }
}
