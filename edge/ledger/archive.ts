import type { Refusal } from "../../shared/protocol/budget.ts";
import type { State, Transfer } from "../../shared/protocol/transfer.ts";
import { type Ask, isFinal, refusals } from "./decide.ts";
import { Desk } from "./desk.ts";
import type { Row } from "./schema.ts";
import { Uploads } from "./uploads.ts";
import { toTransfer } from "./view.ts";

/** What jobs that were stopped still write comes within minutes; a day leaves room for a bucket that was out of reach. */
const SWEEP_MS = 86_400_000;
const SOON_MS = 60_000;

/** Which transfers are wanted; all that are named must hold. */
export interface Filter {
  readonly state?: State | undefined;
  readonly student?: string | undefined;
  readonly dataset?: string | undefined;
  /** Milliseconds since 1970. */
  readonly createdAfter?: number | undefined;
}

/** A transfer whose objects are to be removed, and whether it has ended. */
export interface Removal {
  readonly id: string;
  readonly ended: boolean;
}

/** A tenant's transfers as records: finding them, and deleting what they and predictions hold while what they cost and released stays counted. */
export class Archive extends Desk {
  protected readonly uploads = new Uploads(this.ctx.storage.sql);

  /** Newest first; null if there is no transfer `cursor`, which ended the last page. */
  list(limit: number, { state, student, dataset, createdAfter }: Filter, cursor?: string): Transfer[] | null {
    const last = cursor === undefined ? undefined : this.store.find(cursor);
    if (cursor !== undefined && last?.kind !== "transfer") return null;
    const wanted: [string, SqlStorageValue | undefined][] = [
      ["kind = ?", "transfer"],
      ["state = ?", state],
      ["student = ?", student],
      ["json_extract(options, '$.dataset') = ?", dataset],
      ["created > ?", createdAfter],
    ];
    const named = wanted.filter((each): each is [string, SqlStorageValue] => each[1] !== undefined);
    const where = ["(created, id) < (?, ?)", ...named.map(([condition]) => condition)].join(" AND ");
    return this.ctx.storage.sql
      .exec<Row>(
        `SELECT * FROM transfers WHERE ${where} ORDER BY created DESC, id DESC LIMIT ?`,
        ...[last?.created ?? Number.MAX_SAFE_INTEGER, last?.id ?? "", ...named.map(([, value]) => value), limit],
      )
      .toArray()
      .map(toTransfer);
  }

  /** Notes that what a transfer or predictions have made is to go; who wants it, for the audit log. Null if there is none. */
  askRemoval(id: string, actor: string): Transfer | null {
    return this.ctx.storage.transactionSync(() => {
      const row = this.store.find(id);
      if (!row) return null;
      if (row.deleted !== null) return toTransfer(row);
      const now = Date.now();
      this.ctx.storage.sql.exec("INSERT INTO removals VALUES (?, ?, ?)", id, now, now);
      this.ctx.storage.sql.exec("DELETE FROM aliases WHERE transfer = ?", id);
      this.note(actor, row.kind === "predict" ? "prediction.deleted" : "transfer.deleted", id);
      return toTransfer(this.store.update(id, now, { deleted: now }));
    });
  }

  /** Those whose turn it is: at once, and for a day again at growing intervals, for what a job may still have written. */
  removalsDue(limit: number): Removal[] {
    if (!this.store.exists()) return [];
    return this.ctx.storage.sql
      .exec<{ id: string; state: string }>(
        "SELECT id, state FROM removals JOIN transfers ON id = transfer WHERE next <= ? ORDER BY next LIMIT ?",
        Date.now(),
        limit,
      )
      .toArray()
      .map(({ id, state }) => ({ id, ended: isFinal(state as State) }));
  }

  /** Notes that an ended transfer's objects are removed, and forgets what is known of them. */
  removed(id: string): void {
    this.ctx.storage.transactionSync(() => {
      const { sql } = this.ctx.storage;
      sql.exec(
        `UPDATE transfers SET progress = NULL, losses = '[]', files = '[]', folder = '', travel = 'null', advice = '[]', ranked = 'null', name = NULL, metadata = '{}' WHERE id = ?`,
        id,
      );
      const now = Date.now();
      sql.exec("UPDATE removals SET next = ? + MAX(?, 2 * (? - asked)) WHERE transfer = ?", now, SOON_MS, now, id);
      sql.exec("DELETE FROM removals WHERE transfer = ? AND next - asked > ?", id, SWEEP_MS);
    });
  }

  /** Whether there are removals to come, so that somebody looks again. */
  hasRemovals(): boolean {
    const query = "SELECT 1 FROM removals UNION ALL SELECT 1 FROM uploads LIMIT 1";
    return this.store.exists() && this.ctx.storage.sql.exec(query).toArray().length > 0;
  }

  /**
   * Notes that texts come into the bucket, for which nothing can be reserved before they are there.
   *
   * @param least what one of them asks for
   * @returns the budgets that even that would pass, in which case nothing is noted
   */
  beginUpload(id: string, least: Ask): Refusal[] {
    const now = Date.now();
    const found = this.refusalsOf(least, now);
    if (found.length === 0) this.uploads.begin(id, now);
    return found;
  }

  /** What keeps predictions, which release no prompt, from being reserved. */
  protected refusalsOf(ask: Ask, now: number): Refusal[] {
    const limits = { ...this.store.account().limits, privacy: null };
    return refusals(limits, this.spending(now), ask, () => ({ epsilon: 0, unit: "" }));
  }

  endUpload(id: string): void {
    this.uploads.end(id);
  }

  /** Uploads whose texts are to be removed, since nothing was reserved for them in time. */
  uploadsDue(limit: number): string[] {
    return this.store.exists() ? this.ctx.storage.transactionSync(() => this.uploads.due(limit, Date.now())) : [];
  }

  uploadSwept(id: string): void {
    this.uploads.swept(id, Date.now());
  }

  /** Ended transfers and predictions that the tenant no longer keeps, oldest first. */
  expired(limit: number): string[] {
    const days = this.account()?.retentionDays ?? null;
    if (days === null) return [];
    return this.ctx.storage.sql
      .exec<{ id: string }>(
        "SELECT id FROM transfers WHERE cost_micros IS NOT NULL AND deleted IS NULL AND updated < ? ORDER BY updated LIMIT ?",
        Date.now() - days * 86_400_000,
        limit,
      )
      .toArray()
      .map(({ id }) => id);
  }
}
