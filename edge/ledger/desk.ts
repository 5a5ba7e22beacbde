import { changedLimits, type KeyRecord, type LimitsChange } from "../../shared/protocol/administration.ts";
import type { Limits } from "../../shared/protocol/budget.ts";
import type { AddressRules } from "../webhooks/address.ts";
import { AuditLog } from "./audit-log.ts";
import type { Ask, Usage } from "./decide.ts";
import { Dump, type DumpedRow, type DumpedRows } from "./dump.ts";
import { type InferenceEnv, InferenceLedger } from "./inference.ts";
import { KeyRing, type MadeKey } from "./keys.ts";
import type { Register } from "./register.ts";
import { type Change, type Chosen, Settings } from "./settings.ts";
import { dailyUsageOf, spanOf, usageOf } from "./usage.ts";

/** An account as its provider sees it. */
export interface Account extends Chosen {
  readonly name: string;
  readonly created: number;
  readonly limits: Limits;
  readonly usage: Usage;
  readonly reserved: Ask;
}

/** What a ledger needs of the Worker's environment. */
export interface LedgerEnv extends AddressRules, InferenceEnv {
  readonly RATE_PER_SECOND: string;
  readonly REGISTER: DurableObjectNamespace<Register>;
}

/** Where a restoration gathers its parts. */
const STAGED = "staged";
type StagedPart = { sequence: number; rows: string };

export type Revoked = "revoked" | "unknown" | "last admin";

/**
 * The administration of one tenant: its account, limits and keys. Every change and its entry in the audit log are one transaction; who does it
 * (`actor`) is the provider or a key's id. All but `account` and `audit` are for an account that is open.
 */
export class Desk extends InferenceLedger<LedgerEnv> {
  protected readonly keyRing: KeyRing;
  protected readonly settings: Settings;
  private readonly log: AuditLog;
  private readonly dump: Dump;

  constructor(ctx: DurableObjectState, env: LedgerEnv) {
    super(ctx, env);
    const { sql } = ctx.storage;
    this.keyRing = new KeyRing(sql, Number(env.RATE_PER_SECOND));
    this.settings = new Settings(sql);
    this.log = new AuditLog(sql);
    this.dump = new Dump(sql);
  }

  /** Opens the account, or opens it again after it was closed; false if it is open. */
  open(name: string, limits: Limits, actor: string): boolean {
    return this.ctx.storage.transactionSync(() => {
      if (this.store.exists() && this.store.findAccount()) return false;
      this.store.open(name, limits, Date.now());
      this.log.note({ actor, action: "tenant.created", target: "", detail: { limits } });
      return true;
    });
  }

  account(): Account | null {
    const account = this.store.exists() && this.store.findAccount();
    if (!account) return null;
    const now = Date.now();
    return { ...account, ...this.settings.all(), usage: this.spending(now), reserved: this.store.reserved() };
  }

  changeAccount({ name, ...chosen }: Change & { name?: string | undefined }, actor: string): void {
    this.ctx.storage.transactionSync(() => {
      const before = this.settings.all();
      if (name !== undefined) this.store.rename(name);
      this.settings.set(chosen);
      const detail = { ...difference(before, this.settings.all()), renamed: name !== undefined };
      this.log.note({ actor, action: "tenant.changed", target: "", detail });
    });
  }

  /** Changes the limits that are named; two changes at one time are both made. */
  changeLimits(change: LimitsChange, actor: string): void {
    this.ctx.storage.transactionSync(() => {
      const { limits } = this.store.account();
      const changed = changedLimits(limits, change);
      this.store.setLimits(changed);
      this.log.note({ actor, action: "limits.changed", target: "", detail: difference(limits, changed) });
    });
  }

  keys(): KeyRecord[] {
    return this.keyRing.list();
  }

  addKey(key: MadeKey, name: string, scopes: readonly string[], expires: number | null, actor: string): void {
    this.ctx.storage.transactionSync(() => {
      this.keyRing.add(key, name, scopes, Date.now(), expires);
      this.log.note({ actor, action: "key.created", target: key.id, detail: { scopes, expires } });
    });
  }

  /** See `KeyRing.rotate`. */
  rotateKey(old: string, key: MadeKey, overlapSeconds: number, actor: string) {
    return this.ctx.storage.transactionSync(() => {
      const now = Date.now();
      const until = now + overlapSeconds * 1000;
      const rotated = this.keyRing.rotate(old, key, now, until);
      if (rotated) this.log.note({ actor, action: "key.rotated", target: old, detail: { by: key.id, until } });
      return rotated;
    });
  }

  /** @param force whether the last key that administers the tenant may go too */
  revokeKey(id: string, force: boolean, actor: string): Revoked {
    return this.ctx.storage.transactionSync(() => {
      const now = Date.now();
      const last = this.keyRing.usable(id, now)?.scopes.includes("admin") && !this.keyRing.hasOtherAdmin(id, now);
      if (last && !force) return "last admin";
      if (!this.keyRing.revoke(id, now)) return "unknown";
      this.log.note({ actor, action: "key.revoked", target: id });
      return "revoked";
    });
  }

  /** What was used in a month, also by a tenant whose account is closed. */
  usage(month: string) {
    return this.store.exists() ? usageOf(this.ctx.storage.sql, month) : [];
  }

  /** The same by day, with the requests to models. */
  dailyUsage(month: string) {
    if (!this.store.exists()) return [];
    const { from, to } = spanOf(month);
    return dailyUsageOf(this.ctx.storage.sql, this.tokens.rows(from, to - 1), month);
  }

  /** The names of the tables that a backup has. */
  tables(): string[] {
    return this.dump.tables();
  }

  dumped(table: string, after: number, limit: number): DumpedRow[] {
    return this.dump.rows(table, after, limit);
  }

  /** Keeps a part of a backup (JSON of `DumpedRows`, no more of them than a chunk has) until all are there; null begins anew. A ledger that is lost is made. */
  stage(rows: string | null): void {
    this.store.prepare();
    if (rows === null) this.ctx.storage.sql.exec(`DELETE FROM ${STAGED}`);
    else this.ctx.storage.sql.exec(`INSERT INTO ${STAGED} (rows) VALUES (?)`, rows);
  }

  /** Puts back what is staged, all of it or nothing. @returns why it could not, or null */
  restoreStaged(): string | null {
    try {
      this.ctx.storage.transactionSync(() => this.dump.restore(this.staged()));
      return null;
    } catch (error) {
      return (error as Error).message;
    } finally {
      this.ctx.storage.sql.exec(`DELETE FROM ${STAGED}`);
    }
  }

  /** The staged parts in turn: never are all of them in memory. */
  private *staged(): Generator<DumpedRows> {
    const query = `SELECT sequence, rows FROM ${STAGED} WHERE sequence > ? ORDER BY sequence LIMIT 1`;
    const next = (after: number) => this.ctx.storage.sql.exec<StagedPart>(query, after).toArray()[0];
    for (let part = next(0); part; part = next(part.sequence)) yield JSON.parse(part.rows);
  }

  note(actor: string, action: string, target: string): void {
    this.log.note({ actor, action, target });
  }

  /** Oldest first. */
  audit(limit: number, after: number) {
    return this.store.exists() ? this.log.entries(limit, after) : [];
  }
}

/** What two records differ in, before and after. */
function difference(before: object, after: object) {
  const [old, now] = [Object.entries(before), Object.entries(after)];
  const same = (name: string, value: unknown, others: [string, unknown][]) =>
    others.some(([other, its]) => other === name && JSON.stringify(its) === JSON.stringify(value));
  return {
    from: Object.fromEntries(old.filter(([name, value]) => !same(name, value, now))),
    to: Object.fromEntries(now.filter(([name, value]) => !same(name, value, old))),
  };
}
