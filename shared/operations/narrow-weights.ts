import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../data/files.ts";
import { type HashedFile, hashModel } from "../data/model-files.ts";
import { partialFolder, syncFolder, syncNames } from "../data/partial-folder.ts";
import { writeProblem } from "../data/write-problem.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import { writeQuantised } from "../models/quantise.ts";
import {
  locateQuantised,
  narrowMatrices,
  readQuantisedRecord,
  requireRecordedDigest,
  type StoredMatrix,
  WEIGHT_FILE,
} from "../models/quantised-files.ts";
import { ProblemError } from "../protocol/errors.ts";
import { type Quantisation, usualQuantisation, type WeightsName } from "../protocol/weights.ts";
import type { Watch } from "../training/events.ts";
import { InterruptedError } from "../training/loop.ts";

const TITLE = "The kept weights can't be used";

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
 * A checkpoint whose matrices are used in another form. It is made once, a matrix at a time, and kept by the checkpoint's digest; what is
 * damaged of that is made once more.
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
  const entry: Entry = {
    checkpoint,
    quantisation,
    source: digest,
    folder: join(cache, `${digest}-${Object.values(quantisation).join("-")}`),
  };
  const narrow = (await kept(entry, wanted)) ?? (await made(entry, wanted));
  return { ...checkpoint, narrow, quantisation };
}

/** Weights in the cache. */
interface Entry {
  readonly checkpoint: Checkpoint;
  readonly quantisation: Quantisation;
  /** Digest of the published checkpoint. */
  readonly source: string;
  readonly folder: string;
}

/** What an entry holds; undefined if there is none. One that is damaged is removed, which is said: it can be made again. */
async function kept(entry: Entry, wanted: WantedWeights): Promise<Checkpoint["narrow"] | undefined> {
  const { folder } = entry;
  if (!(await exists(folder))) return undefined;
  try {
    return await read(entry, wanted);
  } catch (error) {
    const why = error instanceof ProblemError ? error.detail : (error as Error).message;
    const text = `The kept weights are damaged, and made anew: ${why}`;
    wanted.watch?.onEvent?.({ kind: "note", text });
    await rm(folder, { recursive: true, force: true }).catch((cause) => {
      throw writeProblem(cause, folder, TITLE);
    });
    return undefined;
  }
}

/** @throws ProblemError if the entry isn't what its name says, and what its record says */
async function read(
  { checkpoint, quantisation, source, folder }: Entry,
  { hash }: WantedWeights,
): Promise<Checkpoint["narrow"]> {
  const record = await readQuantisedRecord(folder);
  if (record?.source !== source || JSON.stringify(record.quantisation) !== JSON.stringify(quantisation)) {
    throw new ProblemError(TITLE, `${folder} holds something else.`);
  }
  const path = join(folder, WEIGHT_FILE);
  const found = await hash(path).catch(() => undefined);
  if (found?.sha256 !== record.sha256) throw new ProblemError(TITLE, `${path} is not what was written.`);
  return locateQuantised(folder, checkpoint.family, checkpoint.config, quantisation);
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

async function made(entry: Entry, wanted: WantedWeights): Promise<Checkpoint["narrow"]> {
  const { checkpoint, source, quantisation, folder } = entry;
  const { cache, watch: { onEvent, signal } = {} } = wanted;
  try {
    await mkdir(cache, { recursive: true });
    await using partial = await partialFolder(cache, "");
    const how = { source, quantisation, whole: false, ...told(onEvent, quantisation), signal };
    await writeQuantised(checkpoint, partial.path, how);
    await requireUnchanged(checkpoint.folder, source, wanted.hash);
    await syncFolder(partial.path);
    // Whoever was faster made the same.
    await rename(partial.path, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await exists(folder))) throw error;
    });
    await syncNames(cache);
  } catch (error) {
    throw signal?.aborted ? new InterruptedError(0) : writeProblem(error, folder, TITLE, { inside: cache });
  }
  return read(entry, wanted);
}

/**
 * To be called when something was made of a model: its files may have been replaced after they were hashed.
 * @throws ProblemError if they aren't what `digest` is of any more
 */
export async function requireUnchanged(folder: string, digest: string, hash: WantedWeights["hash"]): Promise<void> {
  if ((await hashModel(folder, hash)).digest === digest) return;
  const detail = `${folder} was changed while it was read; nothing was kept of it. Run the command again.`;
  throw new ProblemError("The model has changed", detail, { status: 409 });
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
