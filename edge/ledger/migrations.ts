import { AUDIT_TABLE } from "./audit-log.ts";
import { WEBHOOK_TABLES } from "./webhooks.ts";

/**
 * What changed in a ledger's schema since the first numbered one, which is what `schema.ts` makes: step i leads to version i + 2. A step is never
 * edited once it was released, and it only adds: the release before passes over what it doesn't know, so that a Worker can be rolled back.
 */
const STEPS: readonly string[] = [
  `CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
   CREATE TABLE key_life (id TEXT PRIMARY KEY, expires INTEGER, used INTEGER);
   ${AUDIT_TABLE}
   ALTER TABLE transfers ADD COLUMN api_key TEXT;
   ALTER TABLE transfers ADD COLUMN name TEXT;
   ALTER TABLE transfers ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
   ALTER TABLE transfers ADD COLUMN deleted INTEGER;
   CREATE TABLE removals (transfer TEXT PRIMARY KEY, asked INTEGER NOT NULL, next INTEGER NOT NULL);
   CREATE TABLE staged (sequence INTEGER PRIMARY KEY AUTOINCREMENT, rows TEXT NOT NULL);
   ${WEBHOOK_TABLES}`,
  "ALTER TABLE transfers ADD COLUMN ranked TEXT NOT NULL DEFAULT 'null'",
  "CREATE TABLE uploads (id TEXT PRIMARY KEY, begun INTEGER NOT NULL, next INTEGER NOT NULL)",
];

export const SCHEMA_VERSION = STEPS.length + 1;

/** Brings a ledger that has the tables of `schema.ts` up to date. It runs where nothing is awaited, so all of it is written or nothing. */
export function migrate(sql: SqlStorage): void {
  sql.exec(
    "CREATE TABLE IF NOT EXISTS schema_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
  );
  const version = sql.exec<{ version: number }>("SELECT version FROM schema_version").toArray()[0]?.version ?? 1;
  if (version >= SCHEMA_VERSION) return;
  for (const step of STEPS.slice(version - 1)) sql.exec(step);
  sql.exec("INSERT OR REPLACE INTO schema_version VALUES (1, ?)", SCHEMA_VERSION);
}
