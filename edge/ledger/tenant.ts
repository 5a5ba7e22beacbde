import type { Budget, LedgerEntry, Limits, Refusal, ReleaseRecord } from "../../shared/protocol/budget.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import type { JobEvent, ResultFacts } from "../../shared/protocol/job.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";
import type { Prediction } from "../../shared/protocol/prediction.ts";
import type { State, Transfer } from "../../shared/protocol/transfer.ts";
import { count } from "../metrics/count.ts";
import { flushMetrics } from "../metrics/flush.ts";
import { budgetView, leftView } from "./budget.ts";
import { type Ask, advance, isFinal, refusals } from "./decide.ts";
import { Notifier } from "./notifier.ts";
import { composedEpsilon, composedUnit } from "./privacy.ts";
import { REGISTER } from "./register.ts";
import type { ExportedTable, Row } from "./schema.ts";
import { type JobKind, type PredictionSubmission, predictionKey, type Release, type Submission } from "./store.ts";
import { addLoss, toPrediction, toTransfer } from "./view.ts";

/** Longer than the dispatch of a job can take with all its retries (`dispatch.ts`), so that two never submit one job. */
export const LEASE_MS = 60_000;

/** A job for which budgets are reserved, by this request or by an earlier one. */
export interface ReservedJob {
  readonly kind: "new" | "existing";
  readonly transfer: Transfer;
}

export type Reserved =
  | ReservedJob
  | { readonly kind: "conflict" }
  | { readonly kind: "refused"; readonly refusals: Refusal[] };

/** An unfinished transfer as dispatch and reconciliation need it. */
export interface Open {
  readonly kind: JobKind;
  readonly transfer: Transfer;
  readonly batchJob: string | null;
  /** Where its files are, below its job's output. */
  readonly folder: string;
}

/** How a transfer ended. */
export interface End extends Partial<ResultFacts> {
  readonly seconds?: number;
  readonly files?: readonly FileRecord[];
  /** Where the files are, below the job's output. */
  readonly folder?: string;
  readonly device?: string | undefined;
  readonly problem?: string;
}

/**
 * One tenant: keys, budgets and transfers, in one SQLite database. A Durable Object runs one method at a time between
 * awaits, and no method here awaits between reading and writing, so every decision is made on the state that it changes.
 */
export class Tenant extends Notifier {
  private readonly waiting = new Set<() => void>();

  /** From now on nobody gets in; whoever is in may finish. */
  revokeKeys(): void {
    if (this.store.exists()) this.keyRing.revokeAll(Date.now());
  }

  /**
   * Deletes the tenant's data, all of whose transfers have ended (`Store.close` says what stays).
   *
   * @returns the data sets with what was released of each
   */
  close(currency: string): Budget["privacy"]["datasets"] {
    return this.ctx.storage.transactionSync(() => {
      if (!this.store.findAccount()) return [];
      const { datasets } = this.budget(currency).privacy;
      this.store.close();
      return datasets;
    });
  }

  /**
   * Sets the whole ledger back to what it was at a time, at most 30 days ago. What ended since then is found again by
   * reconciliation: results are in the bucket.
   *
   * @throws Error where Cloudflare keeps no history, as on one machine
   */
  async restore(at: number): Promise<void> {
    const { storage } = this.ctx;
    await storage.onNextSessionRestoreBookmark(await storage.getBookmarkForTime(at));
    // It happens at the next start, so this one ends, after its answer.
    setTimeout(() => this.ctx.abort("The ledger is set back."), 0);
  }

  /** Rows of a table for an export, after a row's number. */
  rows(table: ExportedTable, after: number, limit: number): Record<string, SqlStorageValue>[] {
    return this.store.exists() ? this.store.rows(table, after, limit) : [];
  }

  /** What the key with this id and hash may do, and whether it may do it now. */
  authenticate(id: string, hash: string) {
    if (!this.store.exists()) return { kind: "unknown" } as const;
    const answer = this.keyRing.authenticate(id, hash, Date.now());
    const suspended = answer.kind === "known" && this.settings.all().suspended;
    return suspended ? ({ kind: "suspended" } as const) : answer;
  }

  /** What `reserve` would answer, and what it would leave of each budget; with privacy it counts as many requests, since another one is composed anew. */
  quote(ask: Ask, dataset: string, promptDigest: string, privacy: PrivacyRecord | null) {
    const now = Date.now();
    const { limits } = this.store.account();
    const rate = limits.privacy && privacy ? this.keyRing.takeComposition(now) : undefined;
    if (rate?.taken === false) return { kind: "limited", standing: rate.standing } as const;
    const tokens = this.tokenSums(now);
    const usage = this.spending(now, tokens);
    let known: { epsilon: number; unit: string } | undefined;
    const composed = () => {
      known ??= this.composedWith(dataset, promptDigest, privacy, limits);
      return known;
    };
    const refused = this.otherRecord(promptDigest, privacy) ?? refusals(limits, usage, ask, composed);
    const tokensLeft = (limits.tokens ?? 0) - tokens.used.tokens - tokens.reserved.tokens;
    const quote = {
      refusals: refused,
      left: leftView(limits, usage, ask, () => composed().epsilon),
      privacyUnit: limits.privacy ? composed().unit : null,
      inference: { prices: this.prices, tokensLeft: Math.max(0, tokensLeft) },
    };
    return { kind: "quote", quote } as const;
  }

  /** What a key stands for already; null for nothing. */
  earlier(idempotencyKey: string, fingerprint: string): Exclude<Reserved, { kind: "refused" }> | null {
    const row = this.store.findByKey(idempotencyKey);
    if (!row) return null;
    return row.fingerprint === fingerprint ? { kind: "existing", transfer: toTransfer(row) } : { kind: "conflict" };
  }

  /** Sets aside what the transfer may cost, or says why not. The same key twice is one transfer. */
  reserve(submission: Submission): Reserved {
    return this.ctx.storage.transactionSync(() => {
      const earlier = this.earlier(submission.idempotencyKey, submission.fingerprint);
      if (earlier) return earlier;

      const now = Date.now();
      const { limits } = this.store.account();
      const { ask, options, promptDigest, privacy } = submission;
      const composed = () => this.composedWith(options.dataset, promptDigest, privacy, limits);
      const found = this.otherRecord(promptDigest, privacy) ?? refusals(limits, this.spending(now), ask, composed);
      if (found.length > 0) return { kind: "refused", refusals: found };
      const row = this.store.reserve(submission, now);
      this.tellBudgets();
      this.store.lease(row.id, now, now + LEASE_MS);
      return { kind: "new", transfer: toTransfer(row) };
    });
  }

  /** The same for predictions, whose upload ends with it; late if that was swept already. */
  reservePrediction(submission: PredictionSubmission): Reserved | { readonly kind: "late" } {
    return this.ctx.storage.transactionSync(() => {
      const earlier = this.earlier(predictionKey(submission), submission.fingerprint);
      if (earlier) return earlier;

      const now = Date.now();
      const found = this.refusalsOf(submission.ask, now);
      if (found.length > 0) return { kind: "refused", refusals: found };
      if (!this.uploads.end(submission.id)) return { kind: "late" };
      const row = this.store.reservePrediction(submission, now);
      this.tellBudgets();
      this.store.lease(row.id, now, now + LEASE_MS);
      return { kind: "new", transfer: toTransfer(row) };
    });
  }

  prediction(id: string): Prediction | null {
    const row = this.store.find(id);
    return row?.kind === "predict" ? toPrediction(row) : null;
  }

  predictionByKey(idempotencyKey: string): Prediction | null {
    const row = this.store.findByKey(predictionKey({ id: "", idempotencyKey }));
    return row ? toPrediction(row) : null;
  }

  /** Newest first. */
  predictions(limit: number): Prediction[] {
    return this.store.list("predict", limit).map(toPrediction);
  }

  get(id: string): Open | null {
    const row = this.store.find(id);
    return row ? toOpen(row) : null;
  }

  unfinished(): Open[] {
    if (!this.store.exists()) return [];
    return this.store.unfinished().map(toOpen);
  }

  /** Whether the caller may now work on the transfer's job, alone for `LEASE_MS`. */
  lease(id: string): boolean {
    const now = Date.now();
    return this.store.lease(id, now, now + LEASE_MS);
  }

  release(id: string): void {
    if (this.store.find(id)) this.store.update(id, Date.now(), { leased_until: 0 });
  }

  /** Whether a transfer's job is still to be submitted, by the caller alone for `LEASE_MS` from now; storing its files may have outlasted its lease. */
  renew(id: string): boolean {
    return this.store.renew(id, Date.now() + LEASE_MS);
  }

  submitted(id: string, batchJob: string): Transfer | null {
    return this.change(id, (row) => ({
      state: advance(row.state as State, "queued"),
      batch_job: batchJob,
      leased_until: 0,
    }));
  }

  /** News of the job itself; an event older than the last one only moves the state. */
  report(id: string, event: JobEvent): Transfer | null {
    return this.change(id, (row) => {
      const state = advance(row.state as State, "running");
      const newer = event.attempt > row.attempt || (event.attempt === row.attempt && event.sequence > row.sequence);
      if (!newer) return state === row.state ? {} : { state };
      const { attempt, sequence, progress, step, deviceSeconds = 0 } = event;
      const loss = progress?.loss;
      const losses = step === undefined || loss === undefined ? row.losses : withLoss(row.losses, step, loss);
      const device = event.device ?? row.device;
      const shown = progress ? JSON.stringify(progress) : row.progress;
      const computed_seconds = Math.max(row.computed_seconds, deviceSeconds);
      return { state, attempt, sequence, device, progress: shown, losses, computed_seconds };
    });
  }

  /** Batch's own word that the job runs. */
  running(id: string): Transfer | null {
    return this.change(id, (row) => {
      const state = advance(row.state as State, "running");
      return state === row.state ? {} : { state };
    });
  }

  cancelling(id: string): Transfer | null {
    return this.change(id, (row) => ({ state: advance(row.state as State, "cancelling") }));
  }

  /** Ends the transfer and settles it; only the first end counts. */
  finish(id: string, state: State, end: End): Transfer | null {
    return this.ctx.storage.transactionSync(() => {
      const row = this.store.find(id);
      if (!row) return null;
      if (isFinal(row.state as State)) return toTransfer(row);
      const columns = {
        files: JSON.stringify(end.files ?? []),
        folder: end.folder ?? "",
        device: end.device ?? row.device,
        travel: JSON.stringify(end.travel ?? null),
        advice: JSON.stringify(end.advice ?? []),
        ranked: JSON.stringify(end.ranked ?? null),
        problem: end.problem ?? null,
        leased_until: 0,
      };
      const finished = this.store.finish(row, state, end.seconds ?? row.computed_seconds, Date.now(), columns);
      this.tellEnd(id, state);
      this.tellBudgets();
      count("softpost_transfers_ended_total", { state });
      count("softpost_device_seconds_total", {}, finished.cost_seconds ?? 0);
      this.ctx.waitUntil(flushMetrics(this.env.REGISTER.get(this.env.REGISTER.idFromName(REGISTER))));
      this.wake();
      return toTransfer(finished);
    });
  }

  /** Fails a transfer that never got a job, and frees its idempotency key: the same request may be tried again. */
  abandon(id: string, problem: string): Transfer | null {
    const row = this.store.find(id);
    if (row && row.batch_job !== null) return toTransfer(row);
    const transfer = this.finish(id, "failed", { problem });
    if (transfer?.state === "failed") this.store.update(id, Date.now(), { idempotency_key: `abandoned ${id}` });
    return transfer;
  }

  /** Work and target of a transfer, for the cost model. */
  work(id: string): { kind: JobKind; targetDigest: string; work: number } | null {
    const row = this.store.find(id);
    return row ? { kind: row.kind as JobKind, targetDigest: row.target_digest, work: row.work } : null;
  }

  /** The transfer as soon as its version is above `version`, or as it is after `timeout` milliseconds. */
  async next(id: string, version: number, timeout: number): Promise<Transfer | null> {
    const row = this.store.find(id);
    if (!row) return null;
    if (row.version > version || isFinal(row.state as State)) return toTransfer(row);
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeout);
      this.waiting.add(done);
    });
    return toTransfer(this.store.find(id)!);
  }

  budget(currency: string): Budget {
    const now = Date.now();
    const { limits } = this.store.account();
    const delta = limits.privacy?.delta;
    const tokens = this.tokenSums(now);
    const datasets = this.store.datasets().map((dataset) => ({ dataset, releases: this.store.releases(dataset) }));
    return budgetView({
      currency,
      limits,
      usage: this.spending(now, tokens),
      reserved: this.store.reserved(),
      tokens: { ...tokens, prices: this.prices },
      datasets,
      epsilonOf: (dataset, releases, at) => this.epsilonOf(dataset, releases, at),
      now,
      delta,
    });
  }

  /** What was released from a data set, oldest first. */
  releases(dataset: string): ReleaseRecord[] {
    return this.store.datedReleases(dataset);
  }

  ledger(limit: number, after: number): LedgerEntry[] {
    return this.store.entries(limit, after).map((entry) => ({
      sequence: Number(entry.sequence),
      at: new Date(Number(entry.at)).toISOString(),
      transfer: String(entry.transfer),
      kind: entry.kind as LedgerEntry["kind"],
      micros: Number(entry.micros),
      deviceSeconds: Number(entry.device_seconds),
      virtualTokens: Number(entry.virtual_tokens),
      note: String(entry.note),
    }));
  }

  /** One prompt has one record, whatever data set is named: with another one, what was composed before would be wrong. */
  private otherRecord(promptDigest: string, privacy: PrivacyRecord | null): Refusal[] | undefined {
    const record = JSON.stringify(privacy);
    if (this.store.recordsOf(promptDigest).every((known) => known === record)) return undefined;
    const message =
      "Privacy: this prompt was released before with another privacy record; a prompt has one. Send the manifest that was made with it.";
    return [{ budget: "privacy", message }];
  }

  /** Releasing the very same prompt again reveals nothing new, so it is composed once. */
  private composedWith(dataset: string, promptDigest: string, privacy: PrivacyRecord | null, limits: Limits) {
    const releases = this.store.releases(dataset);
    const more = releases.some((release) => release.promptDigest === promptDigest) ? undefined : privacy;
    const unit = composedUnit([...releases.map(({ privacy }) => privacy), ...(more === undefined ? [] : [more])]);
    return { epsilon: limits.privacy ? this.epsilonOf(dataset, releases, limits.privacy.delta, more) : 0, unit };
  }

  private epsilonOf(dataset: string, releases: readonly Release[], delta: number, more?: PrivacyRecord | null): number {
    return composedEpsilon(releases, delta, more, this.store.compositions(dataset));
  }

  /** Changes an unfinished transfer and wakes who waits for it; a finished one stays as it is. */
  private change(id: string, columnsOf: (row: Row) => Partial<Row>): Transfer | null {
    const row = this.store.find(id);
    if (!row) return null;
    const columns = isFinal(row.state as State) ? {} : columnsOf(row);
    if (Object.keys(columns).length === 0) return toTransfer(row);
    const changed = this.store.update(id, Date.now(), columns);
    this.wake();
    return toTransfer(changed);
  }

  private wake(): void {
    for (const done of [...this.waiting]) done();
  }
}

function toOpen(row: Row): Open {
  return { kind: row.kind as JobKind, transfer: toTransfer(row), batchJob: row.batch_job, folder: row.folder };
}

function withLoss(losses: string, step: number, loss: number): string {
  return JSON.stringify(addLoss(JSON.parse(losses), step, loss));
}
