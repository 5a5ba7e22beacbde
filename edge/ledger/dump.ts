/** A row of any table, and its number. */
export type DumpedRow = Record<string, string | number | null> & { readonly row: number };

/** A table with some of its rows, as a backup has them. */
export interface DumpedRows {
  readonly table: string;
  readonly rows: readonly Record<string, string | number | null>[];
}

/** Computed from others, and large. */
const DERIVED = ["kept_compositions"];
/** About the file, not about the tenant. */
const OWN = ["schema_version", "staged"];
/** What was released stays released, and what was done was done: a restoration adds to them, and takes nothing away. */
const ONLY_ADDED = ["releases", "audit"];

/** The tables of a ledger, whatever release made them, and putting them back. */
export class Dump {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  tables(): string[] {
    return this.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .toArray()
      .map(({ name }) => name)
      .filter((name) => !/^(sqlite_|_cf_)/.test(name) && !DERIVED.includes(name) && !OWN.includes(name));
  }

  rows(table: string, after: number, limit: number): DumpedRow[] {
    if (!this.tables().includes(table)) return [];
    return this.sql
      .exec<DumpedRow>(`SELECT rowid AS row, * FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ?`, after, limit)
      .toArray();
  }

  /**
   * Puts back what was dumped, instead of what is there.
   *
   * @throws Error if there is a table or column that this release doesn't have
   */
  restore(dumped: readonly DumpedRows[]): void {
    const known = this.tables();
    for (const table of [...known, ...DERIVED]) if (!ONLY_ADDED.includes(table)) this.sql.exec(`DELETE FROM ${table}`);
    for (const { table, rows } of dumped) {
      if (!known.includes(table)) throw new Error(`the backup has a table ${table}`);
      for (const row of rows) {
        const names = Object.keys(row);
        if (!names.every((name) => /^\w+$/.test(name))) throw new Error(`the backup has odd columns in ${table}`);
        const verb = ONLY_ADDED.includes(table) ? "INSERT OR IGNORE" : "INSERT";
        const query = `${verb} INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`;
        this.sql.exec(query, ...Object.values(row));
      }
    }
  }
}
