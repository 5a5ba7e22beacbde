/** A tenant's transfers of one state that are not finished, and when the oldest of them was submitted. */
export interface OpenCount {
  readonly state: string;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly oldest: number;
}

/** States in which a transfer waits for a machine. */
const WAITING = ["accepted", "queued"];

/** What all instances of the Worker have counted, and what the scheduled run last saw. */
export class Counters {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS counters (series TEXT PRIMARY KEY, value REAL NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS open_transfers (tenant TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, oldest INTEGER NOT NULL, PRIMARY KEY (tenant, state))",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS scheduled (id INTEGER PRIMARY KEY CHECK (id = 1), ended INTEGER NOT NULL)");
  }

  add(counted: readonly [string, number][]): void {
    for (const [series, by] of counted) {
      this.sql.exec(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (series) DO UPDATE SET value = value + excluded.value",
        series,
        by,
      );
    }
  }

  all(): { series: string; value: number }[] {
    return this.sql.exec<{ series: string; value: number }>("SELECT * FROM counters ORDER BY series").toArray();
  }

  setOpen(tenant: string, open: readonly OpenCount[]): void {
    this.sql.exec("DELETE FROM open_transfers WHERE tenant = ?", tenant);
    for (const { state, count, oldest } of open) {
      this.sql.exec("INSERT INTO open_transfers VALUES (?, ?, ?, ?)", tenant, state, count, oldest);
    }
  }

  open(): { state: string; count: number }[] {
    return this.sql
      .exec<{ state: string; count: number }>(
        "SELECT state, SUM(count) AS count FROM open_transfers GROUP BY state ORDER BY state",
      )
      .toArray();
  }

  /** When the transfer was submitted that waits for longest; null if none waits. */
  oldestWaiting(): number | null {
    const query = `SELECT MIN(oldest) AS oldest FROM open_transfers WHERE state IN (${WAITING.map(() => "?")})`;
    return this.sql.exec<{ oldest: number | null }>(query, ...WAITING).one().oldest;
  }

  runEnded(now: number): void {
    this.sql.exec("INSERT OR REPLACE INTO scheduled VALUES (1, ?)", now);
  }

  lastRun(): number | null {
    return this.sql.exec<{ ended: number }>("SELECT ended FROM scheduled").toArray()[0]?.ended ?? null;
  }
}
