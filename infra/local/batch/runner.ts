import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Attempt, isEnded, type Job } from "./job.ts";
import { after } from "./long-timer.ts";
import { shouldRetry } from "./retry.ts";
import type { Store } from "./store.ts";

/** As AWS Batch: so long after SIGTERM follows SIGKILL. */
const GRACE_MS = 30_000;
/** The reason of an attempt whose machine went away; with a space after it, as AWS has it. */
const HOST_GONE = "Host EC2 (this machine's daemon) was stopped";

/** A job that took too long is not tried again. */
const TIMED_OUT = "Job attempt duration exceeded timeout";

/** A job that can't be started, as on a full disk, is tried again after this time. */
const RETRY_MS = 5000;
/** Whoever is told of an attempt's end holds up the next one for no longer. */
const AFTER_MS = 10_000;

/**
 * What is done when an attempt has ended.
 *
 * @param jobId of the attempt
 * @param others names of all other jobs that haven't ended
 */
export type AfterAttempt = (jobId: string, others: readonly string[]) => Promise<void>;

/** Runs jobs as child processes, at most `concurrency` at once, oldest first. */
export class Runner {
  private readonly store: Store;
  private readonly concurrency: number;
  private readonly running = new Map<string, { child: ChildProcess; ended: Promise<void>; why?: string }>();
  /** Whether jobs are started: from `recover` to `stop`. */
  private open = false;
  private afterAttempt: AfterAttempt = async () => {};

  constructor(store: Store, concurrency: number) {
    this.store = store;
    this.concurrency = concurrency;
  }

  /**
   * Takes up the jobs of an earlier daemon: what was running then has lost its host, and what waits is run as its definition has it by now.
   * Unlike on AWS, where a job keeps the revision that it was submitted with: there addresses and paths stay what they are.
   */
  async recover(afterAttempt: AfterAttempt = this.afterAttempt): Promise<void> {
    this.afterAttempt = afterAttempt;
    const left = this.store.allJobs().filter((job) => !isEnded(job));
    for (const job of left) this.store.keep(this.renewed(job));
    for (const job of left.filter(({ status }) => status === "RUNNING")) {
      killOrphan(job);
      this.end(this.store.job(job.jobId)!, { statusReason: HOST_GONE });
      await this.tell(job.jobId);
    }
    this.open = true;
    this.schedule();
  }

  private renewed(job: Job): Job {
    const [name] = job.jobDefinition.split("/").at(-1)!.split(":");
    const container = this.store.definition(name!)?.containerProperties;
    if (!container) return job;
    const environment = new Map(
      [...job.container.environment, ...container.environment].map((pair) => [pair.name, pair]),
    );
    return { ...job, container: { ...container, environment: [...environment.values()] } };
  }

  private async tell(jobId: string): Promise<void> {
    const others = this.store.allJobs().filter((job) => job.jobId !== jobId && !isEnded(job));
    const told = this.afterAttempt(
      jobId,
      others.map(({ jobName }) => jobName),
    ).catch(() => {});
    await Promise.race([told, sleep(AFTER_MS, undefined, { ref: false })]);
  }

  schedule(): void {
    if (!this.open) return;
    for (const job of this.store.allJobs()) {
      if (this.running.size >= this.concurrency) return;
      if (job.status === "RUNNABLE") this.start(job);
    }
  }

  /** Ends a job, wherever it is. */
  terminate(job: Job, reason: string): void {
    if (isEnded(job)) return;
    const marked = this.store.keep({ ...job, isTerminated: true, statusReason: reason });
    const entry = this.running.get(job.jobId);
    if (entry) this.kill(job.jobId, reason);
    else this.store.keep({ ...marked, status: "FAILED", stoppedAt: Date.now() });
  }

  /** Stops all jobs so that the next daemon resumes them; resolves when their processes are gone. */
  async stop(): Promise<void> {
    this.open = false;
    const ended = [...this.running].map(([id, entry]) => {
      this.kill(id, HOST_GONE);
      return entry.ended;
    });
    await Promise.all(ended);
  }

  private start(job: Job): void {
    const attempt = job.attempts.length + 1;
    const logStreamName = `${job.jobId}-${attempt}.log`;
    const log = this.openLog(logStreamName);
    if (log === undefined) return;
    const [command, ...args] = job.container.command.map((word) => substitute(word, job.parameters));
    const child = spawn(command!, args, {
      // A group of its own, so that a signal reaches what the job starts, and Ctrl-C in a terminal doesn't reach the job before us.
      detached: true,
      stdio: ["ignore", log, log],
      env: environment(job, attempt),
    });
    closeSync(log);
    const startedAt = Date.now();
    const started = this.store.keep({ ...job, status: "RUNNING", startedAt, process: child.pid });
    const limit = job.timeout?.attemptDurationSeconds;
    const untimed = limit && after(limit * 1000, () => this.terminate(this.store.job(job.jobId)!, TIMED_OUT));
    const ended = new Promise<void>((resolve) => {
      const done = (outcome: { exitCode?: number; reason?: string; statusReason: string }) => {
        if (untimed) untimed();
        const why = this.running.get(job.jobId)?.why;
        const statusReason = why ?? outcome.statusReason;
        void this.tell(job.jobId).then(() => {
          this.running.delete(job.jobId);
          this.end(started, { ...outcome, statusReason });
          resolve();
          this.schedule();
        });
      };
      child.once("error", (error) => done({ reason: String(error), statusReason: "Task failed to start" }));
      child.once("exit", (code, signal) => {
        // As a shell and docker have it: 128 and the signal's number.
        const exitCode = code ?? 128 + constants.signals[signal!];
        done({ exitCode, statusReason: "Essential container in task exited" });
      });
    });
    this.running.set(job.jobId, { child, ended });
  }

  private openLog(name: string): number | undefined {
    try {
      return openSync(join(this.store.folder, "logs", name), "a", 0o600);
    } catch {
      setTimeout(() => this.schedule(), RETRY_MS).unref();
      return undefined;
    }
  }

  /** Writes down the end of an attempt, and what comes next. */
  private end(started: Job, outcome: { exitCode?: number; reason?: string; statusReason: string }): void {
    const { exitCode, reason, statusReason } = outcome;
    const stoppedAt = Date.now();
    const attempt: Attempt = {
      startedAt: started.startedAt ?? stoppedAt,
      stoppedAt,
      statusReason,
      container: {
        ...(exitCode !== undefined && { exitCode }),
        ...(reason !== undefined && { reason }),
        logStreamName: `${started.jobId}-${started.attempts.length + 1}.log`,
      },
    };
    const current = this.store.job(started.jobId)!;
    const job = { ...current, attempts: [...started.attempts, attempt], process: undefined };
    if (exitCode === 0) this.store.keep({ ...job, status: "SUCCEEDED", statusReason, stoppedAt });
    else if (!job.isTerminated && shouldRetry(job)) this.store.keep({ ...job, status: "RUNNABLE" });
    else this.store.keep({ ...job, status: "FAILED", statusReason: current.statusReason ?? statusReason, stoppedAt });
  }

  private kill(id: string, why: string): void {
    const entry = this.running.get(id);
    if (!entry || entry.why !== undefined) return;
    entry.why = why;
    signal(entry.child.pid, "SIGTERM");
    const timer = setTimeout(() => signal(entry.child.pid, "SIGKILL"), GRACE_MS);
    entry.child.once("exit", () => clearTimeout(timer));
  }
}

/** `Ref::name` is the parameter of that name. */
function substitute(word: string, parameters: Readonly<Record<string, string>>): string {
  return word.startsWith("Ref::") ? (parameters[word.slice("Ref::".length)] ?? word) : word;
}

/** What the definition says and what every program needs; nothing else of the daemon's own environment. */
function environment(job: Job, attempt: number): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, GLIBC_TUNABLES } = process.env;
  return {
    ...Object.fromEntries(job.container.environment.map(({ name, value }) => [name, value])),
    PATH,
    HOME,
    TMPDIR,
    GLIBC_TUNABLES,
    AWS_BATCH_JOB_ID: job.jobId,
    AWS_BATCH_JOB_ATTEMPT: String(attempt),
    AWS_BATCH_JQ_NAME: job.jobQueue,
  };
}

function signal(group: number | undefined, name: NodeJS.Signals): void {
  if (group === undefined) return;
  try {
    process.kill(-group, name);
  } catch {
    // It has ended by itself.
  }
}

/**
 * Ends what a killed daemon left running, if it is certain that the process is that job: its number may have been given to
 * another one. Where that can't be found out (no /proc), the job itself notices that its parent is gone.
 */
function killOrphan({ jobId, process: group }: Job): void {
  if (group === undefined) return;
  try {
    if (readFileSync(`/proc/${group}/environ`, "latin1").includes(`AWS_BATCH_JOB_ID=${jobId}\0`))
      signal(group, "SIGKILL");
  } catch {
    // It isn't there, or this system has no /proc.
  }
}
