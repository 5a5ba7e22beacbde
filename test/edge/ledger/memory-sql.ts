import { DatabaseSync } from "node:sqlite";

/** Durable Objects' SQLite, as far as the ledger's tables take it, in Node's memory. */
export function memorySql(database = new DatabaseSync(":memory:")): SqlStorage {
  const sql = {
    exec(query: string, ...values: (string | number)[]) {
      // A schema is several statements.
      const several = /;\s*\S/.test(query);
      if (several) database.exec(query);
      const rows = several ? [] : database.prepare(query).all(...values);
      const rowsWritten = Number(database.prepare("SELECT changes() AS n").all()[0]!.n);
      return { toArray: () => rows, one: () => rows[0], rowsWritten };
    },
  };
  return sql as unknown as SqlStorage;
}
