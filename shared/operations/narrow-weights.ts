import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../data/files.ts";
import type { HashedFile } from "../data/model-files.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import { writeQuantised } from "../models/quantise.ts";
import {
  locateQuantised,
  narrowMatrices,
  QUANTISATION_FILE,
  readQuantisedRecord,
  requireRecordedDigest,
  type StoredMatrix,
  WEIGHT_FILE,
} from "../models/quantised-files.ts";
import { ProblemError } from "../protocol/errors.ts";
import { type Quantisation, usualQuantisation, type WeightsName } from "../protocol/weights.ts";
import type { Watch } from "../training/events.ts";
import { InterruptedError } from "../training/loop.ts";

/** In what form a model's matrices are wanted, and where what is made of them is kept. */
export interface WantedWeights {
  readonly weights: WeightsName | Quantisation;
  /** A folder of this user's own, never of a model's maker. */
  readonly cache: string;
  /** Where digests of files come from: records of them (data/digest-records.ts). */
  readonly hash: (path: string) => Promise<Omit<HashedFile, "name">>;
  readonly watch?: Watch;
}

/**
 * A checkpoint whose matrices are used in another form. It is made once, a matrix at a time, and kept by the checkpoint's digest.
 * @param digest of the published checkpoint
 * @throws ProblemError if the folder holds another form already, or a matrix can't be held in this one; InterruptedError when stopped
 */
export async function narrowed(checkpoint: Checkpoint, digest: string, wanted: WantedWeights): Promise<Checkpoint> {
  const { cache } = wanted;
  const quantisation = typeof wanted.weights === "string" ? usual(wanted.weights) : wanted.weights;
  const weights = quantisation?.weights ?? "fp32";
  const own = checkpoint.quantisation?.weights;
  if (own !== undefined && own !== weights) {
    const detail = `${checkpoint.folder} holds ${own} weights. Take the published model for ${weights}.`;
    throw new ProblemError("The weights are of another form", detail, { status: 422 });
  }
  if (!quantisation || own !== undefined) return checkpoint;
  if (weights === "fp16") {
    const lying = halfMatrices(checkpoint, quantisation);
    if (lying) return { ...checkpoint, narrow: lying };
  }
  const folder = join(cache, `${digest}-${Object.values(quantisation).join("-")}`);
  if (!(await exists(join(folder, QUANTISATION_FILE)))) await make(checkpoint, digest, quantisation, folder, wanted);
  const record = await readQuantisedRecord(folder);
  if (record?.source !== digest || JSON.stringify(record.quantisation) !== JSON.stringify(quantisation)) {
    const detail = `${folder} holds the weights of another model, or in another form. Remove it; it is made anew.`;
    throw new ProblemError("The kept weights can't be used", detail);
  }
  const found = await wanted.hash(join(folder, WEIGHT_FILE)).catch(() => undefined);
  requireRecordedDigest(record, folder, found?.sha256);
  const narrow = await locateQuantised(folder, checkpoint.family, checkpoint.config, quantisation);
  return { ...checkpoint, narrow, quantisation };
}

/**
 * The digest of a model in a folder: of quantised weights, that of the published model that they were made of.
 * @param hashed the folder's files (`hashModel`)
 * @throws ProblemError if quantised weights aren't those that the record beside them describes
 */
export async function publishedDigest(
  folder: string,
  { files, digest }: { readonly files: readonly HashedFile[]; readonly digest: string },
): Promise<string> {
  const record = await readQuantisedRecord(folder);
  if (!record) return digest;
  requireRecordedDigest(record, folder, files.find(({ name }) => name === WEIGHT_FILE)?.sha256);
  return record.source;
}

const usual = (weights: WeightsName) => (weights === "fp32" ? undefined : usualQuantisation(weights));

/** The matrices of a checkpoint that has 16 bits itself: nothing is to be made of it, or rounded. */
function halfMatrices({ family, config, weights }: Checkpoint, quantisation: Quantisation) {
  const lying = new Map<string, StoredMatrix>();
  for (const name of narrowMatrices(family, config, quantisation).keys()) {
    const weight = weights.get(name)!;
    if (weight.dtype === "F32") return undefined;
    lying.set(name, weight);
  }
  return lying;
}

async function make(
  checkpoint: Checkpoint,
  source: string,
  quantisation: Quantisation,
  folder: string,
  { cache, watch: { onEvent, signal } = {} }: WantedWeights,
): Promise<void> {
  const partial = join(cache, `.${randomUUID()}.writing`);
  await mkdir(cache, { recursive: true });
  try {
    await writeQuantised(checkpoint, partial, {
      source,
      quantisation,
      whole: false,
      ...told(onEvent, quantisation),
      signal,
    });
    // Whoever was faster made the same.
    await rename(partial, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await exists(join(folder, QUANTISATION_FILE)))) throw error;
    });
  } catch (error) {
    throw signal?.aborted ? new InterruptedError(0) : error;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Tells of the work, matrix by matrix. */
export function told(onEvent: Watch["onEvent"], { weights }: Quantisation) {
  return {
    onMatrix: (done: number, total: number) => {
      if (done === 1) onEvent?.({ kind: "phase", name: `making ${weights} weights`, total, unit: "steps" });
      onEvent?.({ kind: "progress", done });
    },
  };
}
