import { readFile, writeFile } from "node:fs/promises";
import { bucket, jobFiles } from "../shared/protocol/bucket.ts";
import type { Bucket } from "./bucket.ts";

/** A job's state in the bucket, so that another machine goes on where this one was stopped. */
export class Checkpoint {
  private readonly store: Bucket;
  private readonly key: string;
  private readonly statePath: string;
  private readonly startedAt = Date.now();
  private before = 0;
  private saving: Promise<void> = Promise.resolve();

  /** @param statePath where the training functions keep the state of an unfinished run */
  constructor(store: Bucket, job: string, statePath: string) {
    this.store = store;
    this.key = bucket.job(job) + jobFiles.checkpoint;
    this.statePath = statePath;
  }

  /** Seconds that the job has been running, earlier attempts up to their last checkpoint included. */
  get deviceSeconds(): number {
    return this.before + (Date.now() - this.startedAt) / 1000;
  }

  /** Fetches the state of an earlier attempt; says whether there is one. */
  async restore(): Promise<boolean> {
    const state = await this.store.read(`${this.key}state`);
    if (!state) return false;
    this.before = Number(await this.store.readJson(`${this.key}seconds`));
    await writeFile(this.statePath, state);
    return true;
  }

  /** Uploads the state as it is now; uploads don't overtake each other. */
  save(): Promise<void> {
    this.saving = this.saving.then(async () => {
      await this.store.write(`${this.key}seconds`, String(this.deviceSeconds));
      await this.store.write(`${this.key}state`, await readFile(this.statePath));
    });
    return this.saving;
  }
}
