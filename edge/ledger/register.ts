import { DurableObject } from "cloudflare:workers";
import type { Snapshot } from "../metrics/exposition.ts";
import { AUDIT_TABLE, AuditLog, type AuditRow, type Deed } from "./audit-log.ts";
import { Counters, type OpenCount } from "./counters.ts";

/** A request that was going to reserve something has long ended by then. */
const QUIET_MS = 600_000;
/** How late a transfer may be deleted that isn't kept for longer. */
const KEEPER_MS = 600_000;

/** The name of the one that there is. */
export const REGISTER = "register";

/** A tenant, and a number that grows with every submission. */
export type Busy = { readonly tenant: string; readonly turn: number };

/**
 * The one list of the tenants that may have something under way, so that reconciliation asks no others: ledgers can't be enumerated, and most have
 * nothing. A tenant is put in before its ledger reserves anything, and taken out when it has had nothing for a while.
 */
export class Register extends DurableObject<object> {
  private readonly sql: SqlStorage;
  private readonly counters: Counters;

  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.counters = new Counters(this.sql);
    this.sql.exec(
      "CREATE TABLE IF NOT EXISTS busy (tenant TEXT PRIMARY KEY, turn INTEGER NOT NULL, since INTEGER NOT NULL, visited INTEGER NOT NULL)",
    );
    this.sql.exec("CREATE INDEX IF NOT EXISTS busy_by_visit ON busy (visited)");
    this.sql.exec(AUDIT_TABLE);
    this.sql.exec("CREATE TABLE IF NOT EXISTS backups (day TEXT PRIMARY KEY)");
    this.sql.exec("CREATE TABLE IF NOT EXISTS keepers (tenant TEXT PRIMARY KEY, visited INTEGER NOT NULL)");
    this.sql.exec("CREATE TABLE IF NOT EXISTS state (seeded INTEGER PRIMARY KEY)");
  }

  /** What was changed that is no one tenant's: which there are, and the catalogue. */
  note(deed: Deed): void {
    new AuditLog(this.sql).note(deed);
  }

  /** Oldest first. */
  audit(limit: number, after: number): AuditRow[] {
    return new AuditLog(this.sql).entries(limit, after);
  }

  add(tenant: string): void {
    this.sql.exec(
      "INSERT INTO busy VALUES (?, 1, ?, 0) ON CONFLICT (tenant) DO UPDATE SET turn = turn + 1, since = excluded.since",
      tenant,
      Date.now(),
    );
  }

  /** Whether a tenant keeps finished transfers for a time only. */
  keepsForDays(tenant: string, does: boolean): void {
    const query = does ? "INSERT OR IGNORE INTO keepers VALUES (?, 0)" : "DELETE FROM keepers WHERE tenant = ?";
    this.sql.exec(query, tenant);
  }

  /** Those of them whose transfers were not looked through for some minutes. */
  keepersDue(limit: number): string[] {
    const now = Date.now();
    const due = this.sql
      .exec<{ tenant: string }>(
        "SELECT tenant FROM keepers WHERE visited <= ? ORDER BY visited LIMIT ?",
        now - KEEPER_MS,
        limit,
      )
      .toArray();
    for (const { tenant } of due) this.sql.exec("UPDATE keepers SET visited = ? WHERE tenant = ?", now, tenant);
    return due.map(({ tenant }) => tenant);
  }

  /** Those that were looked after longest ago. */
  next(limit: number): Busy[] {
    return this.sql.exec<Busy>("SELECT tenant, turn FROM busy ORDER BY visited LIMIT ?", limit).toArray();
  }

  /** Notes that a tenant was looked after. One that has nothing under way goes, unless it was put in again meanwhile or a moment ago. */
  visited({ tenant, turn }: Busy, hasOpen: boolean, open?: readonly OpenCount[]): void {
    const now = Date.now();
    if (open) this.counters.setOpen(tenant, open);
    this.sql.exec("UPDATE busy SET visited = ? WHERE tenant = ?", now, tenant);
    if (hasOpen) return;
    this.sql.exec("DELETE FROM busy WHERE tenant = ? AND turn = ? AND since < ?", tenant, turn, now - QUIET_MS);
  }

  /** Adds what an instance of the Worker has counted. */
  count(counted: readonly [string, number][]): void {
    this.ctx.storage.transactionSync(() => this.counters.add(counted));
  }

  isBackedUp(day: string): boolean {
    return this.sql.exec("SELECT 1 FROM backups WHERE day = ?", day).toArray().length > 0;
  }

  backedUp(day: string): void {
    this.sql.exec("INSERT OR IGNORE INTO backups VALUES (?)", day);
  }

  runEnded(): void {
    this.counters.runEnded(Date.now());
  }

  snapshot(): Snapshot {
    const { counters } = this;
    return {
      counters: counters.all(),
      open: counters.open(),
      oldestWaiting: counters.oldestWaiting(),
      lastRun: counters.lastRun(),
    };
  }

  /** Whether the tenants of the time before there was a register are in it. */
  isSeeded(): boolean {
    return this.sql.exec("SELECT 1 FROM state").toArray().length > 0;
  }

  seed(): void {
    this.sql.exec("INSERT OR IGNORE INTO state VALUES (1)");
  }
}
