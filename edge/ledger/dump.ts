/** A row of any table, and its number. */
export type DumpedRow = Record<string, string | number | null> & { readonly row: number };

/** A table with some of its rows, as a backup has them. */
export interface DumpedRows {
  readonly table: string;
  readonly rows: readonly Record<string, string | number | null>[];
}

/** Of the rows that are handed on and staged as one text: a ledger takes no value of more than some 2 MB. */
const CHUNK_BYTES = 500_000;

/** The rows in turn, as many at once as have so many bytes as JSON, and one at least. */
export function* inChunks<T>(rows: Iterable<T>, most = CHUNK_BYTES): Generator<T[]> {
  const encoder = new TextEncoder();
  let chunk: T[] = [];
  let size = 0;
  for (const row of rows) {
    const { length } = encoder.encode(JSON.stringify(row));
    if (chunk.length > 0 && size + length > most) {
      yield chunk;
      [chunk, size] = [[], 0];
    }
    chunk.push(row);
    size += length;
  }
  if (chunk.length > 0) yield chunk;
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

  /** Rows after a row's number, at most `limit` and as many as make a chunk; none is the end. */
  rows(table: string, after: number, limit: number): DumpedRow[] {
    if (!this.tables().includes(table)) return [];
    const query = `SELECT rowid AS row, * FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ?`;
    return inChunks(this.sql.exec<DumpedRow>(query, after, limit)).next().value ?? [];
  }

  /**
   * Puts back what was dumped, instead of what is there.
   *
   * @param dumped taken one at a time, as each is put back
   * @throws Error if there is a table or column that this release doesn't have
   */
  restore(dumped: Iterable<DumpedRows>): void {
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
