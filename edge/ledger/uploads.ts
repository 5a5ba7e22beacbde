/** Longer than texts may take to come (`STREAM_MS`): whose request hasn't ended then, was interrupted. */
const UPLOAD_MS = 3_600_000;
/** What an interrupted request still writes comes within minutes; a day leaves room for a bucket that was out of reach. */
const SWEEP_MS = 86_400_000;

/** Texts that come into the bucket before anything is reserved for them: what an interrupted request leaves of them is found here. */
export class Uploads {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  begin(id: string, now: number): void {
    this.sql.exec("INSERT INTO uploads VALUES (?, ?, ?)", id, now, now + UPLOAD_MS);
  }

  /** Forgets an upload. @returns whether nobody has begun to sweep it */
  end(id: string): boolean {
    return this.sql.exec("DELETE FROM uploads WHERE id = ? AND next = begun + ?", id, UPLOAD_MS).rowsWritten > 0;
  }

  /** Those to sweep: after an hour, and for a day again at growing intervals. From now on nothing is reserved for them. */
  due(limit: number, now: number): string[] {
    const query = "SELECT id FROM uploads WHERE next <= ? ORDER BY next LIMIT ?";
    const ids = this.sql.exec<{ id: string }>(query, now, limit).toArray();
    for (const { id } of ids) this.sql.exec("UPDATE uploads SET next = 2 * ? - begun WHERE id = ?", now, id);
    return ids.map(({ id }) => id);
  }

  swept(id: string, now: number): void {
    this.sql.exec("DELETE FROM uploads WHERE id = ? AND begun < ?", id, now - SWEEP_MS);
  }
}
