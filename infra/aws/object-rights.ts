import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Kind } from "../definitions.ts";

/** Keys of the bucket, where `*` stands for anything, by what somebody may do with them. */
export interface ObjectRights {
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly remove: readonly string[];
}

const ANY = "*";
const catalogue = bucket.catalogue;
const models = `${bucket.model(ANY)}${ANY}`;
const publicSets = bucket.publicSet(ANY);
const states = bucket.states(ANY, ANY, ANY);
const jobs = bucket.job(ANY) + ANY;
const tenants = bucket.tenant(ANY);
const closed = bucket.closed(ANY);
const sweep = bucket.sweep + ANY;
const calibration = bucket.calibration(ANY);
const uploads = bucket.upload(ANY);
const waiting = bucket.waiting(ANY) + ANY;
const backups = bucket.backup(ANY, ANY) + ANY;

/** Everything is the Worker's own or shared with the jobs, but models, public texts and cached states, which it never writes; of public texts it only sees whether they are there. */
export const WORKER_RIGHTS: ObjectRights = {
  read: [catalogue, models, publicSets, jobs, tenants, closed, sweep, calibration, backups],
  write: [catalogue, jobs, tenants, closed, sweep, calibration, waiting, backups],
  // Objects of deleted tenants and transfers go, and old backups; others are never removed.
  remove: [jobs, tenants, closed, sweep, waiting, backups],
};

const job = (file: string) => bucket.job(ANY) + file + ANY;

/** A job reads what it works with, writes into its own folder, cleans up behind itself, and takes transfers off the waiting list. */
const OF_JOB: ObjectRights = {
  read: [catalogue, models, publicSets, states, jobs],
  write: [jobs],
  remove: [job(jobFiles.checkpoint), job(jobFiles.output), waiting],
};

/** Only a distillation publishes. */
export const JOB_RIGHTS: Readonly<Record<Kind, ObjectRights>> = {
  transfer: { ...OF_JOB, write: [jobs, states] },
  predict: OF_JOB,
  distill: {
    read: [...OF_JOB.read, uploads],
    write: [jobs, models, catalogue, uploads],
    remove: [...OF_JOB.remove, uploads],
  },
};
