/** A tenant's tables. Amounts are whole numbers; times are milliseconds since 1970. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, limits TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, created INTEGER NOT NULL, revoked INTEGER);
CREATE TABLE IF NOT EXISTS transfers (
  id TEXT PRIMARY KEY,
  idempotency_key TEXT NOT NULL UNIQUE,
  fingerprint TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  leased_until INTEGER NOT NULL,
  student TEXT NOT NULL,
  target_digest TEXT NOT NULL,
  work REAL NOT NULL,
  virtual_tokens INTEGER NOT NULL,
  prompt_digest TEXT NOT NULL,
  options TEXT NOT NULL,
  price INTEGER NOT NULL,
  reserved_micros INTEGER NOT NULL,
  reserved_seconds INTEGER NOT NULL,
  cost_micros INTEGER,
  cost_seconds INTEGER,
  batch_job TEXT,
  attempt INTEGER NOT NULL DEFAULT 0,
  sequence INTEGER NOT NULL DEFAULT -1,
  progress TEXT,
  losses TEXT NOT NULL DEFAULT '[]',
  files TEXT NOT NULL DEFAULT '[]',
  problem TEXT
);
CREATE INDEX IF NOT EXISTS transfers_by_time ON transfers (created);
CREATE INDEX IF NOT EXISTS transfers_open ON transfers (state) WHERE cost_micros IS NULL;
CREATE TABLE IF NOT EXISTS releases (dataset TEXT NOT NULL, prompt_digest TEXT NOT NULL, privacy TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (dataset, prompt_digest));
DROP TABLE IF EXISTS compositions;
CREATE TABLE IF NOT EXISTS kept_compositions (
  dataset TEXT NOT NULL, weakest INTEGER NOT NULL, through INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (dataset, weakest)
);
CREATE TABLE IF NOT EXISTS entries (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, transfer TEXT NOT NULL, kind TEXT NOT NULL,
  micros INTEGER NOT NULL, device_seconds INTEGER NOT NULL, virtual_tokens INTEGER NOT NULL, note TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
  id TEXT PRIMARY KEY, model TEXT NOT NULL, day INTEGER NOT NULL, expires INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, prompt_price INTEGER NOT NULL, completion_price INTEGER NOT NULL, micros INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS token_usage (
  day INTEGER NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, micros INTEGER NOT NULL, PRIMARY KEY (day, model)
);
CREATE TABLE IF NOT EXISTS aliases (name TEXT PRIMARY KEY, transfer TEXT NOT NULL, created INTEGER NOT NULL);
`;

/** What a tenant's export has of each table: not the hashes of its keys. */
export const EXPORTED = {
  account: "name, limits, created",
  keys: "id, name, scopes, created, revoked",
  key_life: "*",
  settings: "*",
  transfers: "*",
  releases: "*",
  entries: "*",
  requests: "*",
  token_usage: "*",
  aliases: "*",
  audit: "*",
  webhooks: "id, url, events, created",
  deliveries: "id, webhook, type, body, created, state, tries, next, last, status, error",
} as const;

export type ExportedTable = keyof typeof EXPORTED;

/** Columns of `transfers` that older ledgers lack. */
export const ADDED_COLUMNS = {
  rate: `TEXT NOT NULL DEFAULT '{"device":"unknown","currency":"","microsPerHour":0}'`,
  estimated_seconds: "INTEGER NOT NULL DEFAULT 0",
  actual_seconds: "REAL",
  computed_seconds: "REAL NOT NULL DEFAULT 0",
  travel: "TEXT NOT NULL DEFAULT 'null'",
  advice: "TEXT NOT NULL DEFAULT '[]'",
  device: "TEXT",
  folder: "TEXT NOT NULL DEFAULT ''",
  kind: "TEXT NOT NULL DEFAULT 'transfer'",
  model: "TEXT NOT NULL DEFAULT ''",
} as const;

/** A row of `transfers`. */
export type Row = {
  id: string;
  idempotency_key: string;
  fingerprint: string;
  state: string;
  version: number;
  created: number;
  updated: number;
  leased_until: number;
  student: string;
  target_digest: string;
  work: number;
  virtual_tokens: number;
  prompt_digest: string;
  options: string;
  price: number;
  reserved_micros: number;
  reserved_seconds: number;
  cost_micros: number | null;
  cost_seconds: number | null;
  batch_job: string | null;
  attempt: number;
  sequence: number;
  progress: string | null;
  losses: string;
  files: string;
  problem: string | null;
  rate: string;
  estimated_seconds: number;
  actual_seconds: number | null;
  /** Device seconds so far, as the job last reported them. */
  computed_seconds: number;
  travel: string;
  advice: string;
  ranked: string;
  device: string | null;
  folder: string;
  /** `transfer`, or `predict`. */
  kind: string;
  /** What predictions are made with. */
  model: string;
  /** Id of the key that sent it; null for what earlier releases have written. */
  api_key: string | null;
  name: string | null;
  metadata: string;
  /** When its files were deleted, or that was asked for. */
  deleted: number | null;
};
