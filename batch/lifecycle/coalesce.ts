import { setTimeout as sleep } from "node:timers/promises";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { parseJobId } from "../../shared/protocol/ids.ts";
import { SHIFT_SECONDS, type TransferSpec } from "../../shared/protocol/job.ts";
import { Lease } from "./lease.ts";
import { jobLog, writeMetrics } from "./log.ts";
import { Reporter, reportTarget } from "./report.ts";
import { isDone, type Outcome, readSpec, runOne, type Start } from "./run-job.ts";

/** How often a job looks for the end of its transfer, which another works on. */
const LOOK_MS = 2000;

/**
 * Does the transfer that the job was started for, and then, for a while, those that wait for the same target, in turn between tenants
 * (README.md).
 *
 * @returns how the job's own transfer ended
 */
export async function runShift(own: TransferSpec, start: Start): Promise<Outcome> {
  const { store, signal } = start;
  if (await isDone(store, own.job)) {
    await new Reporter(reportTarget(own.report, start.edge), 1, start.id).end("succeeded");
    return "done";
  }
  const shift = new Shift(own.target.digest, start);
  try {
    for (;;) {
      const outcome = await shift.workOnOwn(own);
      if (outcome !== "taken") {
        if (outcome === "done") while (!signal.aborted && (await shift.workOnNext()));
        return outcome;
      }
      if (signal.aborted) return "interrupted";
      if (await shift.workOnNext()) continue;
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    shift.end();
  }
}

class Shift {
  private readonly target: string;
  private readonly start: Start;
  private readonly endsAt = Date.now() + SHIFT_SECONDS * 1000;
  private readonly turns = new Turns();
  private transfers = 0;
  /** After a crash the device may be what is wrong. */
  private broken = false;

  constructor(target: string, start: Start) {
    this.target = target;
    this.start = start;
  }

  /** Works on the transfer that the job was started for, unless another does: `taken`. */
  async workOnOwn(spec: TransferSpec): Promise<Outcome | "taken"> {
    const { store, id, signal } = this.start;
    if (await isDone(store, spec.job)) return "done";
    const lease = await Lease.takeOwn(store, spec.job, id);
    if (lease === "withdrawn") return "failed";
    if (lease === "taken") return "taken";
    await store.remove(bucket.waiting(this.target) + spec.job);
    const outcome = await this.workOn(spec, lease);
    return outcome === "interrupted" && !signal.aborted ? "taken" : outcome;
  }

  /** Works on a transfer that waits, if there is one and there is time for it. */
  async workOnNext(): Promise<boolean> {
    if (this.broken || Date.now() > this.endsAt) return false;
    const next = await this.takeNext();
    if (next) await this.workOn(next.spec, next.lease);
    return next !== undefined;
  }

  end(): void {
    writeMetrics("transfer", { transfersInShift: this.transfers }, { runner: this.start.id });
  }

  private async workOn(spec: TransferSpec, lease: Lease): Promise<Outcome> {
    this.turns.served(spec.job);
    const outcome = await runOne(spec, this.start, lease);
    await lease.release();
    this.transfers += 1;
    this.broken ||= outcome === "crashed";
    return outcome;
  }

  /** Whoever takes a transfer first takes it off the list; one that somebody had before is left to its own job. */
  private async takeNext(): Promise<{ spec: TransferSpec; lease: Lease } | undefined> {
    const { store, id } = this.start;
    const list = bucket.waiting(this.target);
    const waiting = (await store.listByAge(list)).map((key) => key.slice(list.length));
    for (const job of this.turns.order(waiting)) {
      const lease = await Lease.takeFirst(store, job, id);
      await store.remove(list + job);
      if (!lease) continue;
      try {
        return { spec: await readSpec(store, "transfer", bucket.job(job) + jobFiles.spec), lease };
      } catch (error) {
        // Its own job will fail for it.
        jobLog({ kind: "transfer", job, runner: id })("not taken", { problem: String(error) });
        await lease.release();
      }
    }
    return undefined;
  }
}

/** Whose turn it is: of the tenants that wait, the one that was served longest ago or never. */
export class Turns {
  private readonly last = new Map<string, number>();
  private turn = 0;

  served(job: string): void {
    this.last.set(tenantOf(job), ++this.turn);
  }

  /** @param waiting jobs, oldest first; of one tenant they stay in this order */
  order(waiting: readonly string[]): string[] {
    const turnOf = (job: string) => this.last.get(tenantOf(job)) ?? 0;
    return waiting.toSorted((a, b) => turnOf(a) - turnOf(b));
  }
}

function tenantOf(job: string): string {
  return parseJobId(job)?.tenant ?? job;
}
