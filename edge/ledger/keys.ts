import type { KeyRecord } from "../../shared/protocol/administration.ts";
import { equalBytes } from "../http/secrets.ts";
import { RateLimit } from "./rate-limit.ts";
import { isoTime } from "./times.ts";

/** How exactly a key's last use is known: noting each would be a write a request. */
const USE_MS = 60_000;

/** Seconds of the rate limit that a composition takes: about so long it may compute. */
const COMPOSITION_SECONDS = 1;

/** A key that is made; `hash` is what is kept of its secret. */
export interface MadeKey {
  readonly id: string;
  readonly hash: string;
}

type Row = { id: string; name: string; scopes: string; created: number; revoked: number | null } & {
  expires: number | null;
  used: number | null;
};

const ROWS =
  "SELECT keys.id AS id, name, scopes, created, revoked, expires, used FROM keys LEFT JOIN key_life ON key_life.id = keys.id";

/** A tenant's API keys, as keyed hashes, and their shared rate limit. */
export class KeyRing {
  private readonly sql: SqlStorage;
  private readonly rate: RateLimit;

  constructor(sql: SqlStorage, perSecond: number) {
    this.sql = sql;
    this.rate = new RateLimit(perSecond);
  }

  add({ id, hash }: MadeKey, name: string, scopes: readonly string[], now: number, expires: number | null): void {
    this.sql.exec("INSERT INTO keys VALUES (?, ?, ?, ?, ?, NULL)", id, hash, name, JSON.stringify(scopes), now);
    this.sql.exec("INSERT INTO key_life VALUES (?, ?, NULL)", id, expires);
  }

  list(): KeyRecord[] {
    return this.sql.exec<Row>(`${ROWS} ORDER BY created`).toArray().map(toRecord);
  }

  /** The key, if it opens anything now. */
  usable(id: string, now: number): KeyRecord | undefined {
    const row = this.sql.exec<Row>(`${ROWS} WHERE keys.id = ?`, id).toArray()[0];
    return row && isUsable(row, now) ? toRecord(row) : undefined;
  }

  /** Whether a usable admin key is left without this one. */
  hasOtherAdmin(id: string, now: number): boolean {
    const others = this.sql.exec<Row>(`${ROWS} WHERE keys.id <> ?`, id).toArray();
    return others.some((row) => isUsable(row, now) && row.scopes.includes('"admin"'));
  }

  /**
   * Puts a new key in the place of one: of its name, its scopes and its length of life. Asked again, because the answer was lost, it makes another.
   *
   * @param until when the old one ends, unless that is sooner already
   * @returns when the new one ends; undefined if the old one opens nothing any more
   */
  rotate(old: string, made: MadeKey, now: number, until: number): { expires: number | null } | undefined {
    const row = this.sql.exec<Row>(`${ROWS} WHERE keys.id = ?`, old).toArray()[0];
    if (!row || !isUsable(row, now)) return undefined;
    const end = this.endAtFirst(row);
    const expires = end === null ? null : now + (end - row.created);
    this.add(made, row.name, JSON.parse(row.scopes), now, expires);
    this.sql.exec(
      "INSERT INTO key_life VALUES (?, ?, NULL) ON CONFLICT (id) DO UPDATE SET expires = MIN(COALESCE(expires, excluded.expires), excluded.expires)",
      ...[old, until],
    );
    return { expires };
  }

  /** When a key ends, or would have ended had it never been rotated: the first rotation notes that under a name that no key has. */
  private endAtFirst({ id, expires }: Row): number | null {
    const name = `${id} at first`;
    this.sql.exec("INSERT OR IGNORE INTO key_life VALUES (?, ?, NULL)", name, expires);
    return this.sql.exec<{ expires: number | null }>("SELECT expires FROM key_life WHERE id = ?", name).one().expires;
  }

  revoke(id: string, now: number): boolean {
    return this.sql.exec("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", now, id).rowsWritten > 0;
  }

  revokeAll(now: number): void {
    this.sql.exec("UPDATE keys SET revoked = ? WHERE revoked IS NULL", now);
  }

  /** Whether a tenant's request may compose what was released with what it asks about, beside being taken itself. */
  takeComposition(now: number) {
    return this.rate.take(now, COMPOSITION_SECONDS);
  }

  authenticate(id: string, hash: string, now: number) {
    const key = this.sql
      .exec<{ hash: string; scopes: string; expires: number | null; used: number | null }>(
        "SELECT hash, scopes, expires, used FROM keys LEFT JOIN key_life ON key_life.id = keys.id WHERE keys.id = ? AND revoked IS NULL",
        id,
      )
      .toArray()[0];
    if (!key || !equalBytes(hash, key.hash)) return { kind: "unknown" } as const;
    if (key.expires !== null && key.expires <= now) return { kind: "expired", expires: key.expires } as const;
    const { taken, standing } = this.rate.take(now);
    if (!taken) return { kind: "limited", standing } as const;
    if (key.used === null || now - key.used >= USE_MS) {
      this.sql.exec(
        "INSERT INTO key_life VALUES (?, NULL, ?) ON CONFLICT (id) DO UPDATE SET used = excluded.used",
        id,
        now,
      );
    }
    return { kind: "known", scopes: JSON.parse(key.scopes) as string[], standing } as const;
  }
}

function isUsable({ revoked, expires }: Row, now: number): boolean {
  return revoked === null && (expires === null || expires > now);
}

function toRecord({ id, name, scopes, created, expires, used, revoked }: Row): KeyRecord {
  return {
    id,
    name,
    scopes: JSON.parse(scopes),
    created: new Date(created).toISOString(),
    expires: isoTime(expires),
    lastUsed: isoTime(used),
    revoked: isoTime(revoked),
  };
}
