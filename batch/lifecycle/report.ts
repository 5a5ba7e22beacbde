import type { JobEvent } from "../../shared/protocol/job.ts";
import { JOB_PROTOCOL, VERSION_HEADER } from "../../shared/protocol/job-version.ts";
import type { TrainingEvent } from "../../shared/training/events.ts";

/** Fresh enough for who watches, and few enough for the edge. */
const EVERY_MS = 1000;
/** A job without progress says this often that it lives, and how long: who cancels it pays for that. */
const HEARTBEAT_MS = 5000;
/** An edge that doesn't answer must not keep a finished job from ending. */
const REQUEST_MS = 10_000;

type State = JobEvent["state"];

/**
 * Where a job reports to. A spec lasts longer than an address: a provider on one machine may be started again on another port.
 *
 * @param edge where the edge is now, if not where the spec says
 */
export function reportTarget({ url, token }: { url: string; token: string }, edge: string | undefined) {
  return { url: edge === undefined ? url : new URL(new URL(url).pathname, edge).href, token };
}

/**
 * Tells the edge how a job goes: the newest progress about once a second, and the end. Reports that fail are lost, which the edge
 * copes with: it asks Batch and the bucket.
 */
export class Reporter {
  private readonly target: { url: string; token: string } | undefined;
  private readonly attempt: number;
  private readonly runner: string;
  private readonly device: string;
  private readonly timer: NodeJS.Timeout;
  private sequence = 0;
  private progress: JobEvent["progress"] = null;
  private changed = true;
  private sentAt = 0;
  /** Seconds on the device so far, once work has begun. */
  deviceSeconds: () => number = () => 0;

  /**
   * @param target undefined for a job that nobody waits for
   * @param attempt the lease's epoch, or Batch's attempt where there is no lease: what an earlier one still says counts for nothing
   * @param runner Batch's id of the job that does the work
   * @param device what it runs on
   */
  constructor(target: { url: string; token: string } | undefined, attempt: number, runner: string, device: string) {
    this.target = target;
    this.attempt = attempt;
    this.runner = runner;
    this.device = device;
    this.timer = setInterval(() => this.tick(), EVERY_MS).unref();
    this.tick();
  }

  readonly onEvent = (event: TrainingEvent): void => {
    if (event.kind === "phase") this.progress = { phase: event.name, done: 0, total: event.total, unit: event.unit };
    else if (event.kind === "progress" && this.progress) {
      const { done, loss } = event;
      this.progress = { ...this.progress, done, ...(loss !== undefined && { loss }) };
    } else return;
    this.changed = true;
  };

  /** Sends the last report. */
  async end(state: Exclude<State, "running"> | null, problem?: string): Promise<void> {
    clearInterval(this.timer);
    if (state !== null) await this.send(state, problem);
  }

  private tick(): void {
    if (!this.changed && Date.now() - this.sentAt < HEARTBEAT_MS) return;
    this.changed = false;
    this.sentAt = Date.now();
    void this.send("running");
  }

  private async send(state: State, problem?: string): Promise<void> {
    if (!this.target) return;
    const { progress } = this;
    const event: JobEvent = {
      attempt: this.attempt,
      runner: this.runner,
      device: this.device,
      sequence: this.sequence++,
      state,
      progress,
      deviceSeconds: this.deviceSeconds(),
      ...(progress?.loss !== undefined && { step: progress.done }),
      ...(problem !== undefined && { problem: problem.slice(0, 1000) }),
    };
    await fetch(this.target.url, {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.target.token}`,
        "content-type": "application/json",
        [VERSION_HEADER]: String(JOB_PROTOCOL),
      },
      body: JSON.stringify(event),
      signal: AbortSignal.timeout(REQUEST_MS),
    }).catch(() => {});
  }
}
