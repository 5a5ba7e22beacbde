import type { Limits, ReleaseRecord } from "../../shared/protocol/budget.ts";
import type { Rate } from "../../shared/protocol/cost.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";
import type { State } from "../../shared/protocol/transfer.ts";
import type { Labels, TransferOptions } from "../../shared/protocol/transfer-options.ts";
import { type Ask, charge, type Usage } from "./decide.ts";
import { migrate } from "./migrations.ts";
import type { Keeper, Released } from "./privacy.ts";
import { ADDED_COLUMNS, EXPORTED, type ExportedTable, type Row, SCHEMA } from "./schema.ts";
import { startOfDay } from "./times.ts";

/** What a row of `transfers` is: both are jobs that are reserved, followed, cancelled and settled in the same way. */
export type JobKind = "transfer" | "predict";

/** A submission that wants to be reserved. */
export interface Submission {
  readonly id: string;
  readonly idempotencyKey: string;
  /** Digest of everything that was sent: the same key with another one is a mistake. */
  readonly fingerprint: string;
  readonly student: string;
  /** Id of the key that sends it. */
  readonly apiKey: string;
  readonly targetDigest: string;
  /** Token positions that the job will compute; calibrates the cost model when it has finished. */
  readonly work: number;
  readonly ask: Ask;
  /** Micros a device second. */
  readonly price: number;
  readonly rate: Rate;
  readonly estimatedSeconds: number;
  readonly promptDigest: string;
  readonly privacy: PrivacyRecord | null;
  readonly options: TransferOptions;
  readonly labels: Labels;
}

/** Predictions that want to be reserved. */
export interface PredictionSubmission {
  readonly id: string;
  /** Of the client's; undefined for none. */
  readonly idempotencyKey: string | undefined;
  /** What a key stands for: model and texts. */
  readonly fingerprint: string;
  readonly model: string;
  readonly target: string;
  readonly targetDigest: string;
  readonly promptDigest: string;
  readonly work: number;
  readonly ask: Ask;
  readonly price: number;
  readonly rate: Rate;
  readonly estimatedSeconds: number;
}

/** A prediction's key in the ledger: with a space, which a transfer's key can't have. */
export function predictionKey({ id, idempotencyKey }: Pick<PredictionSubmission, "id" | "idempotencyKey">): string {
  return idempotencyKey === undefined ? `predict ${id}` : `prediction ${idempotencyKey}`;
}

export type Release = Released & { readonly promptDigest: string };

/**
 * The tables of one tenant as functions. None of them decides anything: `decide.ts` does. Those that write are called within a
 * transaction.
 */
export class Store {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
    if (this.exists()) this.prepare();
  }

  /** A ledger that no administrator opened has no tables: a guessed tenant id must not create any. */
  exists(): boolean {
    return this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'account'").toArray().length > 0;
  }

  open(name: string, limits: Limits, now: number): void {
    this.prepare();
    this.sql.exec("INSERT INTO account VALUES (1, ?, ?, ?)", name, JSON.stringify(limits), now);
  }

  account(): { name: string; limits: Limits; created: number } {
    return this.findAccount()!;
  }

  /** Undefined once the tenant's data was deleted. */
  findAccount(): { name: string; limits: Limits; created: number } | undefined {
    const rows = this.sql.exec<{ name: string; limits: string; created: number }>("SELECT * FROM account").toArray();
    return rows[0] && { ...rows[0], limits: JSON.parse(rows[0].limits) };
  }

  /**
   * Deletes what is about the tenant itself. What stays: of each release the privacy record, without which a data set that comes back would start
   * from nothing, and of each transfer and each day's requests to models what was paid for what.
   */
  close(): void {
    this.sql.exec("DELETE FROM account");
    const own = [
      "keys",
      "key_life",
      "settings",
      "webhooks",
      "deliveries",
      "budget_marks",
      "aliases",
      "requests",
      "uploads",
    ];
    for (const table of own) this.sql.exec(`DELETE FROM ${table}`);
    this.sql.exec(
      `UPDATE transfers SET idempotency_key = 'closed ' || id, fingerprint = '', progress = NULL, losses = '[]', files = '[]', problem = NULL, name = NULL, metadata = '{}'`,
    );
  }

  /** Some rows of a table, in the order of `row`, which is its number. */
  rows(table: ExportedTable, after: number, limit: number): Record<string, SqlStorageValue>[] {
    const query = `SELECT rowid AS row, ${EXPORTED[table]} FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ?`;
    return this.sql.exec(query, after, limit).toArray();
  }

  setLimits(limits: Limits): void {
    this.sql.exec("UPDATE account SET limits = ?", JSON.stringify(limits));
  }

  rename(name: string): void {
    this.sql.exec("UPDATE account SET name = ?", name);
  }

  usage(now: number): Usage {
    const spent = this.sql
      .exec<{ micros: number; seconds: number; tokens: number; open: number }>(
        `SELECT COALESCE(SUM(COALESCE(cost_micros, reserved_micros)), 0) AS micros,
                COALESCE(SUM(COALESCE(cost_seconds, reserved_seconds)), 0) AS seconds,
                COALESCE(SUM(CASE WHEN state IN ('failed', 'cancelled') THEN 0 ELSE virtual_tokens END), 0) AS tokens,
                COALESCE(SUM(cost_micros IS NULL), 0) AS open FROM transfers`,
      )
      .one();
    const today = this.sql
      .exec<{ n: number }>("SELECT COUNT(*) AS n FROM transfers WHERE created >= ?", startOfDay(now))
      .one();
    return {
      micros: spent.micros,
      deviceSeconds: spent.seconds,
      virtualTokens: spent.tokens,
      concurrent: spent.open,
      daily: today.n,
    };
  }

  /** Money, device seconds and virtual tokens that are set aside but not spent. */
  reserved(): Ask {
    return this.sql
      .exec<Ask & Record<string, number>>(
        `SELECT COALESCE(SUM(reserved_micros), 0) AS micros, COALESCE(SUM(reserved_seconds), 0) AS deviceSeconds,
                COALESCE(SUM(virtual_tokens), 0) AS virtualTokens FROM transfers WHERE cost_micros IS NULL`,
      )
      .one();
  }

  releases(dataset: string): Release[] {
    return this.sql
      .exec<{ row: number; promptDigest: string; privacy: string }>(
        "SELECT rowid AS row, prompt_digest AS promptDigest, privacy FROM releases WHERE dataset = ? ORDER BY rowid",
        dataset,
      )
      .toArray()
      .map(({ privacy, ...release }) => ({ ...release, privacy: JSON.parse(privacy) }));
  }

  /** The same with their times. */
  datedReleases(dataset: string): ReleaseRecord[] {
    return this.sql
      .exec<{ promptDigest: string; privacy: string; created: number }>(
        "SELECT prompt_digest AS promptDigest, privacy, created FROM releases WHERE dataset = ? ORDER BY rowid",
        dataset,
      )
      .toArray()
      .map(({ promptDigest, privacy, created }) => {
        return { promptDigest, at: new Date(created).toISOString(), privacy: JSON.parse(privacy) };
      });
  }

  /** What is kept of a data set's releases. */
  compositions(dataset: string): Keeper {
    const query = "SELECT through, bytes FROM kept_compositions WHERE dataset = ? AND weakest = ?";
    return {
      kept: (weakest) => {
        const row = this.sql
          .exec<{ through: number; bytes: ArrayBuffer }>(query, dataset, Number(weakest))
          .toArray()[0];
        return row && { weakest, through: row.through, bytes: new Uint8Array(row.bytes) };
      },
      keep: ({ weakest, through, bytes }) => {
        const values = [dataset, Number(weakest), through, bytes];
        this.sql.exec("INSERT OR REPLACE INTO kept_compositions VALUES (?, ?, ?, ?)", ...values);
      },
    };
  }

  /** The privacy records with which a prompt was released, as JSON. */
  recordsOf(promptDigest: string): string[] {
    return this.sql
      .exec<{ privacy: string }>("SELECT DISTINCT privacy FROM releases WHERE prompt_digest = ?", promptDigest)
      .toArray()
      .map(({ privacy }) => privacy);
  }

  datasets(): string[] {
    const rows = this.sql.exec<{ dataset: string }>("SELECT DISTINCT dataset FROM releases ORDER BY dataset").toArray();
    return rows.map(({ dataset }) => dataset);
  }

  find(id: string): Row | undefined {
    return this.sql.exec<Row>("SELECT * FROM transfers WHERE id = ?", id).toArray()[0];
  }

  findByKey(idempotencyKey: string): Row | undefined {
    return this.sql.exec<Row>("SELECT * FROM transfers WHERE idempotency_key = ?", idempotencyKey).toArray()[0];
  }

  /** Newest first. */
  list(kind: JobKind, limit: number): Row[] {
    return this.sql
      .exec<Row>("SELECT * FROM transfers WHERE kind = ? ORDER BY created DESC, id DESC LIMIT ?", kind, limit)
      .toArray();
  }

  unfinished(): Row[] {
    return this.sql.exec<Row>("SELECT * FROM transfers WHERE cost_micros IS NULL ORDER BY created").toArray();
  }

  reserve(submission: Submission, now: number): Row {
    const { id, ask, options } = submission;
    this.sql.exec(
      `INSERT INTO transfers (id, idempotency_key, fingerprint, state, version, created, updated, leased_until, student,
         target_digest, work, virtual_tokens, prompt_digest, options, price, reserved_micros, reserved_seconds, rate, estimated_seconds, api_key, name, metadata)
       VALUES (?, ?, ?, 'accepted', 1, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, submission.idempotencyKey, submission.fingerprint, now, now, submission.student],
      ...[submission.targetDigest, submission.work, ask.virtualTokens, submission.promptDigest],
      ...[JSON.stringify(options), submission.price, ask.micros, ask.deviceSeconds],
      ...[JSON.stringify(submission.rate), submission.estimatedSeconds, submission.apiKey],
      ...[submission.labels.name ?? null, JSON.stringify(submission.labels.metadata)],
    );
    this.enter(now, id, "reserve", ask, "");
    this.sql.exec(
      "INSERT OR IGNORE INTO releases VALUES (?, ?, ?, ?)",
      ...[options.dataset, submission.promptDigest, JSON.stringify(submission.privacy), now],
    );
    return this.find(id)!;
  }

  reservePrediction(submission: PredictionSubmission, now: number): Row {
    const { id, ask, model } = submission;
    this.sql.exec(
      `INSERT INTO transfers (id, idempotency_key, fingerprint, state, version, created, updated, leased_until, student,
         target_digest, work, virtual_tokens, prompt_digest, options, price, reserved_micros, reserved_seconds, rate, estimated_seconds, kind, model)
       VALUES (?, ?, ?, 'accepted', 1, ?, ?, 0, ?, ?, ?, 0, ?, '{}', ?, ?, ?, ?, ?, 'predict', ?)`,
      ...[id, predictionKey(submission), submission.fingerprint, now, now],
      ...[submission.target, submission.targetDigest, submission.work],
      ...[submission.promptDigest, submission.price, ask.micros, ask.deviceSeconds],
      ...[JSON.stringify(submission.rate), submission.estimatedSeconds, model],
    );
    this.enter(now, id, "reserve", ask, "Predictions");
    return this.find(id)!;
  }

  /** Writes columns of a transfer and makes a new version of it. */
  update(id: string, now: number, columns: Partial<Omit<Row, "id" | "version" | "updated">>): Row {
    const names = Object.keys(columns);
    this.sql.exec(
      `UPDATE transfers SET version = version + 1, updated = ?${names.map((name) => `, ${name} = ?`).join("")} WHERE id = ?`,
      ...[now, ...Object.values(columns), id],
    );
    return this.find(id)!;
  }

  /**
   * Takes an exclusive right to work on a transfer; it ends by itself, in case its holder does. One that would last for twice as long as this
   * one is of a clock that was set back since, and counts for nothing.
   */
  lease(id: string, now: number, until: number): boolean {
    const taken = this.sql.exec(
      "UPDATE transfers SET leased_until = ? WHERE id = ? AND leased_until NOT BETWEEN ? + 1 AND ? AND cost_micros IS NULL",
      ...[until, id, now, now + 2 * (until - now)],
    );
    return taken.rowsWritten > 0;
  }

  /** The same for who took it before and has no job yet. @returns false if the transfer has ended or has a job */
  renew(id: string, until: number): boolean {
    const query = "UPDATE transfers SET leased_until = ? WHERE id = ? AND batch_job IS NULL AND cost_micros IS NULL";
    return this.sql.exec(query, until, id).rowsWritten > 0;
  }

  /** Ends a transfer that isn't ended yet: what was set aside becomes what it costs. */
  finish(row: Row, state: State, seconds: number, now: number, columns: Partial<Row>): Row {
    const reserved = { micros: row.reserved_micros, deviceSeconds: row.reserved_seconds };
    const cost = charge(state, reserved, seconds, row.price);
    const kept = state === "succeeded" ? row.virtual_tokens : 0;
    const change = {
      micros: cost.micros - reserved.micros,
      deviceSeconds: cost.deviceSeconds - reserved.deviceSeconds,
      virtualTokens: kept - row.virtual_tokens,
    };
    const settled = state === "succeeded" || cost.deviceSeconds > 0;
    const device = columns.device ?? row.device;
    const note = settled ? describeSettlement(state, seconds, device, JSON.parse(row.rate)) : (columns.problem ?? "");
    this.enter(now, row.id, settled ? "settle" : "refund", change, note);
    return this.update(row.id, now, {
      ...columns,
      state,
      cost_micros: cost.micros,
      cost_seconds: cost.deviceSeconds,
      actual_seconds: settled ? seconds : null,
    });
  }

  entries(limit: number, after: number): Record<string, SqlStorageValue>[] {
    return this.sql.exec("SELECT * FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?", after, limit).toArray();
  }

  /** Makes the tables, or brings them up to date. */
  prepare(): void {
    this.sql.exec(SCHEMA);
    this.addColumns();
    migrate(this.sql);
  }

  private addColumns(): void {
    const there = this.sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('transfers')").toArray();
    for (const [name, type] of Object.entries(ADDED_COLUMNS)) {
      if (!there.some((column) => column.name === name)) {
        this.sql.exec(`ALTER TABLE transfers ADD COLUMN ${name} ${type}`);
      }
    }
  }

  private enter(now: number, transfer: string, kind: string, change: Ask, note: string): void {
    this.sql.exec(
      "INSERT INTO entries (at, transfer, kind, micros, device_seconds, virtual_tokens, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[now, transfer, kind, change.micros, change.deviceSeconds, change.virtualTokens, note],
    );
  }
}

function describeSettlement(state: State, seconds: number, device: string | null, rate: Rate): string {
  const { currency, microsPerHour } = rate;
  return `${state === "cancelled" ? "Cancelled after " : ""}${seconds.toFixed(1)} s on ${device ?? rate.device} at ${microsPerHour / 1e6} ${currency} an hour`;
}
