/** Nothing in it is ever changed: the database itself refuses. */
export const AUDIT_TABLE = `
CREATE TABLE IF NOT EXISTS audit (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
`;

/** What was done, and to what. `detail` has ids, numbers and times only, so that an entry may outlive its tenant. */
export interface Deed {
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** An entry with its detail as JSON: what goes through RPC has a type that says what it is. */
export type AuditRow = { sequence: number; at: number; actor: string; action: string; target: string; detail: string };

/** Who changed what, when, with which key. */
export class AuditLog {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  note({ actor, action, target, detail = {} }: Deed): void {
    this.sql.exec(
      "INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?)",
      ...[Date.now(), actor, action, target, JSON.stringify(detail)],
    );
  }

  /** Oldest first. */
  entries(limit: number, after: number): AuditRow[] {
    const query = "SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?";
    return this.sql.exec<AuditRow>(query, after, limit).toArray();
  }
}
