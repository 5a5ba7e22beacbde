import { open, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Bucket } from "../storage/bucket.ts";
import { decodeCheckpoint, encodeCheckpoint } from "./checkpoint-file.ts";
import type { Log } from "./log.ts";

/** The newest one may turn out to be damaged. */
const KEPT = 2;
/** So that keys are in the order of steps. */
const DIGITS = 12;

export interface CheckpointOptions {
  readonly job: string;
  /** What makes the run what it is; a checkpoint that says otherwise is not used. */
  readonly run: string;
  /** Where the training functions keep the state of an unfinished run. */
  readonly statePath: string;
  readonly log: Log;
}

/**
 * A job's state in the bucket, so that another machine goes on where this one was stopped. Every checkpoint is an object of its own,
 * named after its step: it is there whole or not at all, and two machines that work on one job, which gives the same states on
 * both, never spoil each other's.
 */
export class Checkpoint {
  private readonly store: Bucket;
  private readonly options: CheckpointOptions;
  private readonly folder: string;
  private readonly startedAt = Date.now();
  private before = 0;
  /** Keys of what is kept, oldest first. */
  private kept: string[] = [];
  private wanted: number | undefined;
  private saving: Promise<void> | undefined;

  constructor(store: Bucket, options: CheckpointOptions) {
    this.store = store;
    this.options = options;
    this.folder = bucket.job(options.job) + jobFiles.checkpoint;
  }

  /** Seconds that the job has been running, earlier attempts up to their last checkpoint included. */
  get deviceSeconds(): number {
    return this.before + (Date.now() - this.startedAt) / 1000;
  }

  /** Fetches the newest state of an earlier attempt that is whole; what isn't is removed. Says whether there was one. */
  async restore(): Promise<boolean> {
    this.kept = await this.store.list(this.folder);
    for (let key = this.kept.at(-1); key !== undefined; key = this.kept.at(-1)) {
      const { run, statePath } = this.options;
      const object = (await this.store.stream(key)) ?? Readable.from([]);
      try {
        const { seconds, step } = await decodeCheckpoint(object, { key, run, statePath });
        this.before = seconds;
        this.options.log("restored", { step });
        return true;
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        this.options.log("checkpoint dropped", { problem: error.detail });
        await this.store.remove(key);
        this.kept.pop();
      }
    }
    await rm(this.options.statePath, { force: true });
    return false;
  }

  /**
   * Uploads the state, in the background: `settled` waits for it. Uploads don't overtake each other, and of those that wait only the newest is
   * done. One that fails costs time if the machine goes away, but is no reason to stop.
   *
   * @param step that the state is of
   */
  save(step: number): void {
    this.wanted = step;
    this.saving ??= this.saveAll().finally(() => {
      this.saving = undefined;
    });
  }

  /** When no upload is under way any more. */
  async settled(): Promise<void> {
    await this.saving;
  }

  /** Removes all checkpoints: the job is done. */
  async clear(): Promise<void> {
    await this.settled();
    for (const key of this.kept.splice(0)) await this.store.remove(key);
  }

  private async saveAll(): Promise<void> {
    for (let step = this.wanted; step !== undefined; step = this.wanted) {
      this.wanted = undefined;
      await this.upload(step).catch((error) => this.options.log("checkpoint failed", { problem: String(error) }));
    }
  }

  private async upload(step: number): Promise<void> {
    const { run, statePath } = this.options;
    const key = this.folder + String(step).padStart(DIGITS, "0");
    // If the run has just written a newer state, that is what is uploaded: the state says itself which step it is of.
    await using state = await open(statePath);
    await this.store.put(key, await encodeCheckpoint({ run, step, seconds: this.deviceSeconds }, state));
    this.kept = [...new Set([...this.kept, key])].sort();
    while (this.kept.length > KEPT) await this.store.remove(this.kept.shift()!);
  }
}
