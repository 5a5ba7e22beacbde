import { randomUUID } from "node:crypto";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { DEVICES, type Device } from "../shared/graph/graph.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { BucketOptions } from "./storage/bucket.ts";
import type { Capacity } from "./storage/fit.ts";

/** What a job is told by its job definition and by Batch. */
export interface Environment {
  readonly bucket: BucketOptions;
  /** Where models are kept between jobs of one machine. */
  readonly cache: string;
  /** CPU threads that the job may use. */
  readonly threads: number;
  /** Where models are computed. */
  readonly device: Device;
  /** What a transfer's job has; undefined where jobs share their machine's memory. */
  readonly capacity: Capacity | undefined;
  /** Batch's id of the job. */
  readonly id: string;
  /** Which of Batch's attempts at the job this is, from 1. */
  readonly attempt: number;
  /** Where the edge is reached, if not where a spec says. */
  readonly edge: string | undefined;
  /** Seconds between two checkpoints; undefined for what the job's kind suggests. */
  readonly checkpointSeconds: number | undefined;
}

/**
 * Reads SOFTPOST_BUCKET, SOFTPOST_S3_ENDPOINT (R2's; AWS's own without it), SOFTPOST_CACHE, SOFTPOST_THREADS, SOFTPOST_DEVICE,
 * SOFTPOST_EDGE (that of the spec without it), SOFTPOST_CHECKPOINT_SECONDS, SOFTPOST_DEVICE_BYTES and SOFTPOST_HOST_BYTES, AWS_BATCH_JOB_ID, AWS_BATCH_JOB_ATTEMPT and, where they are set,
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
 *
 * @throws ProblemError if no bucket is named or the device isn't one
 */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const { SOFTPOST_BUCKET: name, SOFTPOST_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = env;
  if (!name) throw new ProblemError("The job can't start", "SOFTPOST_BUCKET must name the bucket.");
  const credentials =
    AWS_ACCESS_KEY_ID && AWS_SECRET_ACCESS_KEY
      ? { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY }
      : null;
  return {
    bucket: { name, endpoint: SOFTPOST_S3_ENDPOINT ?? null, credentials },
    cache: env.SOFTPOST_CACHE ?? join(tmpdir(), "softpost-models"),
    threads: Number(env.SOFTPOST_THREADS ?? availableParallelism()),
    device: readDevice(env),
    capacity:
      env.SOFTPOST_DEVICE_BYTES === undefined
        ? undefined
        : { device: Number(env.SOFTPOST_DEVICE_BYTES), host: Number(env.SOFTPOST_HOST_BYTES) },
    id: env.AWS_BATCH_JOB_ID ?? randomUUID(),
    attempt: Number(env.AWS_BATCH_JOB_ATTEMPT ?? 1),
    edge: env.SOFTPOST_EDGE,
    checkpointSeconds:
      env.SOFTPOST_CHECKPOINT_SECONDS === undefined ? undefined : Number(env.SOFTPOST_CHECKPOINT_SECONDS),
  };
}

/** @throws ProblemError if SOFTPOST_DEVICE is no device */
export function readDevice({ SOFTPOST_DEVICE: device = "cpu" }: NodeJS.ProcessEnv): Device {
  const known = DEVICES.find((each) => each === device);
  if (known) return known;
  throw new ProblemError(
    "The job can't start",
    `SOFTPOST_DEVICE must be one of ${DEVICES.join(", ")}; it is ${device}.`,
  );
}
