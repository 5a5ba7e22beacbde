import { ID_LENGTH, randomId } from "../../shared/protocol/ids.ts";
import type { DeliveryRecord, Notification, WebhookRecord } from "../../shared/protocol/webhook.ts";
import type { Message, Outcome } from "../webhooks/send.ts";
import { isoTime } from "./times.ts";

/** Seconds from one try to the next: together 23.6 hours. */
const PAUSES = [5, 60, 300, 1800, 7200, 18_000, 25_200, 32_400] as const;
/** Deliveries of one webhook that are kept. */
const MAX_KEPT = 200;

export const WEBHOOK_TABLES = `
CREATE TABLE webhooks (id TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE deliveries (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, webhook TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL,
  state TEXT NOT NULL, tries INTEGER NOT NULL, next INTEGER, last INTEGER, status INTEGER, error TEXT, UNIQUE (webhook, id)
);
CREATE TABLE budget_marks (budget TEXT PRIMARY KEY, percent INTEGER NOT NULL);
`;

type WebhookRow = { id: string; url: string; events: string; secret: string; created: number };
type DeliveryRow = { id: string; type: string; created: number; state: DeliveryRecord["state"]; tries: number } & {
  next: number | null;
  last: number | null;
  status: number | null;
  error: string | null;
};

/** A delivery whose turn it is. */
export interface Due extends Message {
  readonly sequence: number;
  readonly tries: number;
}

/** A tenant's webhooks, and what was and is to be delivered to each. */
export class Webhooks {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  list(): WebhookRecord[] {
    return this.sql
      .exec<WebhookRow>("SELECT * FROM webhooks ORDER BY created, id")
      .toArray()
      .map(({ id, url, events, created }) => ({ id, url, events: JSON.parse(events), created: isoTime(created)! }));
  }

  add({ id, url, events, secret }: { id: string; url: string; events: readonly string[]; secret: string }): void {
    const now = Date.now();
    this.sql.exec("INSERT INTO webhooks VALUES (?, ?, ?, ?, ?)", id, url, JSON.stringify(events), secret, now);
  }

  remove(id: string): boolean {
    this.sql.exec("DELETE FROM deliveries WHERE webhook = ?", id);
    return this.sql.exec("DELETE FROM webhooks WHERE id = ?", id).rowsWritten > 0;
  }

  /** Notes what is to be delivered to every webhook that wants it. @returns whether there is one */
  notify({ type, data }: Pick<Notification, "type" | "data">): boolean {
    const now = Date.now();
    const wanted = this.list().filter(({ events }) => events.includes(type));
    const body = JSON.stringify({ type, timestamp: isoTime(now), data });
    const id = `msg_${randomId(ID_LENGTH)}`;
    for (const webhook of wanted) {
      this.sql.exec(
        "INSERT INTO deliveries (id, webhook, type, body, created, state, tries, next) VALUES (?, ?, ?, ?, ?, 'pending', 0, ?)",
        ...[id, webhook.id, type, body, now, now],
      );
      this.sql.exec(
        "DELETE FROM deliveries WHERE webhook = ? AND state <> 'pending' AND sequence <= (SELECT MAX(sequence) FROM deliveries) - ?",
        ...[webhook.id, MAX_KEPT],
      );
    }
    return wanted.length > 0;
  }

  due(limit: number): Due[] {
    return this.sql
      .exec<Due & Record<string, SqlStorageValue>>(
        `SELECT sequence, deliveries.id AS id, body, tries, url, secret FROM deliveries JOIN webhooks ON webhooks.id = webhook
         WHERE state = 'pending' AND next <= ? ORDER BY next LIMIT ?`,
        ...[Date.now(), limit],
      )
      .toArray();
  }

  /** When the next try is due; null if none is. */
  next(): number | null {
    return this.sql
      .exec<{ next: number | null }>("SELECT MIN(next) AS next FROM deliveries WHERE state = 'pending'")
      .one().next;
  }

  /** Notes how a try went, unless the delivery was put back to its beginning meanwhile. */
  tried({ sequence, tries }: Due, { status, error }: Outcome): void {
    const now = Date.now();
    const pause = PAUSES[tries];
    const state = error === null ? "delivered" : pause === undefined ? "failed" : "pending";
    const next = state === "pending" ? now + pause! * 1000 : null;
    this.sql.exec(
      "UPDATE deliveries SET state = ?, tries = ?, next = ?, last = ?, status = ?, error = ? WHERE sequence = ? AND tries = ?",
      ...[state, tries + 1, next, now, status, error, sequence, tries],
    );
  }

  /** Puts a delivery back to its beginning: it is sent once more, and again for a day if need be. */
  again(webhook: string, id: string): boolean {
    const query = "UPDATE deliveries SET state = 'pending', tries = 0, next = ? WHERE webhook = ? AND id = ?";
    return this.sql.exec(query, Date.now(), webhook, id).rowsWritten > 0;
  }

  /** Newest first. */
  deliveries(webhook: string, limit: number): DeliveryRecord[] {
    return this.sql
      .exec<DeliveryRow>("SELECT * FROM deliveries WHERE webhook = ? ORDER BY sequence DESC LIMIT ?", webhook, limit)
      .toArray()
      .map(({ id, type, created, state, tries, next, last, status, error }) => ({
        id,
        type,
        created: isoTime(created)!,
        state,
        tries,
        nextTry: isoTime(next),
        lastTry: isoTime(last),
        lastStatus: status,
        lastError: error,
      }));
  }

  /** The highest share of a budget that was told. */
  mark(budget: string): number {
    const query = "SELECT percent FROM budget_marks WHERE budget = ?";
    return this.sql.exec<{ percent: number }>(query, budget).toArray()[0]?.percent ?? 0;
  }

  setMark(budget: string, percent: number): void {
    this.sql.exec("INSERT OR REPLACE INTO budget_marks VALUES (?, ?)", budget, percent);
  }
}
