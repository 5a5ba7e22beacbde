import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { type LeaseRecord, leaseSchema, WITHDRAWN } from "../../shared/protocol/job.ts";
import type { Bucket } from "../storage/bucket.ts";

/** Long enough for a few renewals to fail, short enough that a transfer whose worker died is soon gone on with. */
const LEASE_MS = 60_000;
const RENEW_MS = 10_000;

/**
 * The right to work on a transfer, kept in its folder and renewed while it is held. It only saves work: two who work on one transfer write
 * the same bytes, and each object of a result is written once. So clocks need not agree.
 */
export class Lease {
  /** Counts those who had the lease, from 1. */
  readonly epoch: number;
  /** Aborts when somebody else has it, or the transfer was withdrawn. */
  readonly lost: AbortSignal;
  private readonly store: Bucket;
  private readonly key: string;
  private readonly holder: string;
  private readonly abort = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private etag: string;
  private renewing: Promise<void> = Promise.resolve();

  private constructor(store: Bucket, key: string, { holder, epoch }: LeaseRecord, etag: string) {
    this.store = store;
    this.key = key;
    this.holder = holder;
    this.epoch = epoch;
    this.etag = etag;
    this.lost = this.abort.signal;
    this.timer = setInterval(() => {
      // Where the bucket can't be reached the lease may end, and another may do the same work: no harm is done.
      this.renewing = this.renewing.then(() => this.write(Date.now() + LEASE_MS)).catch(() => {});
    }, RENEW_MS).unref();
  }

  /** Takes a transfer that nobody ever had; undefined if somebody has or had it. */
  static takeFirst(store: Bucket, job: string, holder: string): Promise<Lease | undefined> {
    return Lease.take(store, job, { holder, epoch: 1 }, null);
  }

  /** Takes the transfer that a job was started for: unless another works on it, or it was withdrawn. */
  static async takeOwn(store: Bucket, job: string, holder: string): Promise<Lease | "taken" | "withdrawn"> {
    const object = await store.readTagged(keyOf(job));
    if (!object) return (await Lease.takeFirst(store, job, holder)) ?? "taken";
    const before = leaseSchema.parse(JSON.parse(new TextDecoder().decode(object.bytes)));
    if (before.holder === WITHDRAWN.holder) return "withdrawn";
    // Its own of an earlier attempt, which is dead, or that of a worker which died.
    const free = before.holder === holder || before.until < Date.now();
    if (!free) return "taken";
    return (await Lease.take(store, job, { holder, epoch: before.epoch + 1 }, object.etag)) ?? "taken";
  }

  /** Ends the lease of a holder that is known to be dead, for whoever waits for it. */
  static async end(store: Bucket, job: string, holder: string): Promise<void> {
    const object = await store.readTagged(keyOf(job));
    if (!object) return;
    const lease = leaseSchema.parse(JSON.parse(new TextDecoder().decode(object.bytes)));
    if (lease.holder !== holder || lease.until < Date.now()) return;
    await store.writeIf(keyOf(job), JSON.stringify({ ...lease, until: 0 } satisfies LeaseRecord), object.etag);
  }

  private static async take(store: Bucket, job: string, who: Omit<LeaseRecord, "until">, before: string | null) {
    const lease = { ...who, until: Date.now() + LEASE_MS };
    const etag = await store.writeIf(keyOf(job), JSON.stringify(lease), before);
    return etag === undefined ? undefined : new Lease(store, keyOf(job), lease, etag);
  }

  /** Ends the lease, so that the transfer's own job need not wait. */
  async release(): Promise<void> {
    clearInterval(this.timer);
    await this.renewing;
    if (!this.lost.aborted) await this.write(0).catch(() => {});
  }

  private async write(until: number): Promise<void> {
    const { store, key, holder, epoch } = this;
    const etag = await store.writeIf(key, JSON.stringify({ holder, epoch, until } satisfies LeaseRecord), this.etag);
    if (etag === undefined) this.abort.abort();
    else this.etag = etag;
  }
}

function keyOf(job: string): string {
  return bucket.job(job) + jobFiles.lease;
}
