import { equalBytes } from "../http/secrets.ts";

/** A burst may be this many seconds' worth of requests. */
const BURST_SECONDS = 10;

/** A tenant's API keys, as keyed hashes, and their shared rate limit. */
export class KeyRing {
  private readonly sql: SqlStorage;
  private readonly perSecond: number;
  /** The bucket lives in memory: when the object is evicted the tenant was idle, and it is full again. */
  private tokens = Number.POSITIVE_INFINITY;
  private filled = 0;

  constructor(sql: SqlStorage, perSecond: number) {
    this.sql = sql;
    this.perSecond = perSecond;
  }

  add(id: string, hash: string, name: string, scopes: readonly string[], now: number): void {
    this.sql.exec("INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)", id, hash, name, JSON.stringify(scopes), now);
  }

  list() {
    return this.sql
      .exec<{ id: string; name: string; scopes: string; created: number; revoked: number | null }>(
        "SELECT id, name, scopes, created, revoked FROM keys ORDER BY created",
      )
      .toArray()
      .map((key) => ({
        ...key,
        scopes: JSON.parse(key.scopes) as string[],
        created: new Date(key.created).toISOString(),
        revoked: key.revoked === null ? null : new Date(key.revoked).toISOString(),
      }));
  }

  revoke(id: string, now: number): boolean {
    return this.sql.exec("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", now, id).rowsWritten > 0;
  }

  revokeAll(now: number): void {
    this.sql.exec("UPDATE keys SET revoked = ? WHERE revoked IS NULL", now);
  }

  authenticate(id: string, hash: string, now: number) {
    const key = this.sql
      .exec<{ hash: string; scopes: string }>("SELECT hash, scopes FROM keys WHERE id = ? AND revoked IS NULL", id)
      .toArray()[0];
    if (!key || !equalBytes(hash, key.hash)) return { kind: "unknown" } as const;
    if (!this.take(now)) return { kind: "limited" } as const;
    return { kind: "known", scopes: JSON.parse(key.scopes) as string[] } as const;
  }

  private take(now: number): boolean {
    this.tokens = Math.min(BURST_SECONDS * this.perSecond, this.tokens + ((now - this.filled) / 1000) * this.perSecond);
    this.filled = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}
