import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Bucket } from "../storage/bucket.ts";

/** A job that crashed so often will crash again. */
export const MAX_CRASHES = 3;

const crashesSchema = z.object({ count: z.int().positive() });

/**
 * Counts a crash of a job in its folder, over all attempts: Batch starts a job again after nearly everything (infra/definitions.ts). A process that is
 * killed can't count; Batch's own limit of attempts holds for those.
 *
 * @returns how often the job has crashed by now
 */
export async function countCrash(store: Bucket, job: string): Promise<number> {
  const key = bucket.job(job) + jobFiles.crashes;
  const before = await store.read(key);
  const count = 1 + (before ? crashesSchema.parse(JSON.parse(new TextDecoder().decode(before))).count : 0);
  await store.write(key, JSON.stringify({ count }));
  return count;
}
