import { join } from "node:path";
import { licenceOf } from "../../shared/data/model-card.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { requireSameTokenizer } from "../../shared/data/same-tokenizer.ts";
import { type Checkpoint, openCheckpoint } from "../../shared/models/checkpoint.ts";
import { readWeight } from "../../shared/models/weights.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import {
  type Catalogue,
  catalogueName,
  catalogueSchema,
  type FileRecord,
  type PrecisionName,
  type PublicSet,
  type Student,
  withPublicSet,
  withRetired,
  withStudent,
} from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { validate } from "../../shared/protocol/json.ts";
import { isMaskedFamily } from "../../shared/protocol/manifest.ts";
import type { WeightsName } from "../../shared/protocol/weights.ts";
import type { Bucket } from "./bucket.ts";
import { checkStudent, parameterCount } from "./check-student.ts";
import { type Capacity, requireFit } from "./fit.ts";
import { uploadPublicSet } from "./public-set.ts";

/** Operations a second that a transfer to a target of unknown speed is assumed to do: two cores. Finished jobs correct it. */
const ASSUMED_FLOPS = 5e10;
/** The smallest models are bound by what a step costs otherwise. */
const MAX_ASSUMED_SPEED = 20_000;

/** A model folder and its name in the catalogue. */
export interface NamedModel {
  readonly folder: string;
  readonly name: string;
}

/** What is published together. */
export interface Publication {
  readonly student: NamedModel;
  readonly target: NamedModel;
  /** `distilled` unless told. */
  readonly kind?: Student["kind"];
  /** Whether the student may be published without a record that it was distilled from this target. */
  readonly unknownOrigin?: boolean;
  /** What transfers to the target are computed in; fp32 unless told. */
  readonly precision?: PrecisionName | undefined;
  /** In what form its matrices are held; fp32 unless told. */
  readonly weights?: WeightsName | undefined;
  /** What the jobs have; undefined where they share their machine's memory. */
  readonly capacity?: Capacity | undefined;
}

/**
 * Uploads a student and its target, and puts the student into the catalogue. A student of the same name with other content is
 * retired: clients that tuned on it are told so.
 *
 * @throws ProblemError if a folder isn't a model, the two don't belong together, the student isn't one (`checkStudent`), or the target doesn't fit the jobs' device
 */
export async function publishStudent(store: Bucket, publication: Publication): Promise<Student> {
  const record = await uploadStudent(store, publication);
  await changeCatalogue(store, (before) => withStudent(before, record));
  return record;
}

/** Uploads a student and its target; nobody sees it until its record is in the catalogue. @throws ProblemError as `publishStudent` */
export async function uploadStudent(
  store: Bucket,
  {
    student,
    target,
    kind = "distilled",
    unknownOrigin = false,
    precision = "fp32",
    weights = "fp32",
    capacity,
  }: Publication,
): Promise<Student> {
  const [small, large] = await Promise.all([openCheckpoint(student.folder), openCheckpoint(target.folder)]);
  for (const { quantisation, folder } of [small, large])
    if (quantisation) throw published(folder, quantisation.weights);
  if (kind === "open") requireSameReading(small, large, student.name);
  else if (small.family !== large.family || small.config.width !== large.config.width) {
    throw new ProblemError(
      "The student is of another target",
      `${student.name} and ${target.name} differ in family or width.`,
    );
  }
  if (kind === "distilled") await requireSameTokenizer(student.folder, target.folder);
  if (capacity) await requireFit({ name: target.name, checkpoint: large }, { precision, weights }, capacity);
  const id = catalogueName(student.name);
  const hashes = { student: await hashModel(student.folder), target: await hashModel(target.folder) };
  await checkStudent(
    { name: student.name, digest: hashes.student.digest, checkpoint: small },
    { name: target.name, digest: hashes.target.digest, checkpoint: large },
    kind,
    unknownOrigin,
  );
  const licences = { student: await licenceOf(student.folder), target: await licenceOf(target.folder) };
  await uploadModel(store, student.folder, hashes.student);
  await uploadModel(store, target.folder, hashes.target);
  return {
    id,
    kind,
    digest: hashes.student.digest,
    architecture: small.family.name,
    dimension: small.config.width,
    positions: Math.min(small.config.positions, large.config.positions),
    embeddingNorms: await embeddingNorms(small),
    files: hashes.student.files,
    ...(licences.student !== undefined && { licence: licences.student }),
    target: {
      id: catalogueName(target.name),
      digest: hashes.target.digest,
      files: hashes.target.files,
      layers: large.config.layers,
      ...(licences.target !== undefined && { licence: licences.target }),
      precision,
      weights,
    },
    tokensPerSecond: Math.min(MAX_ASSUMED_SPEED, ASSUMED_FLOPS / (2 * parameterCount(large))),
    retired: false,
  };
}

function published(folder: string, weights: WeightsName): ProblemError {
  const detail = `${folder} holds ${weights} weights. Publish the model that they were made of, with --weights ${weights}: jobs make them, and clients see the published digest.`;
  return new ProblemError("Rounded weights are not published", detail, { status: 422 });
}

/** @throws ProblemError if one of the two is a masked model and the other isn't: a task's template fits only one kind */
function requireSameReading(student: Checkpoint, target: Checkpoint, name: string): void {
  const isMasked = ({ family }: Checkpoint) => isMaskedFamily(family.name);
  if (isMasked(student) === isMasked(target)) return;
  const detail = `${name} is a ${isMasked(student) ? "masked" : "causal"} model, its target isn't: no task's template fits both.`;
  throw new ProblemError("The student can't be used for this target", detail);
}

/**
 * Takes a student out of service: no prompt for it is taken any more.
 *
 * @throws ProblemError if there is none of this name
 */
export async function retireStudent(store: Bucket, id: string): Promise<void> {
  await changeCatalogue(store, (before) => withRetired(before, "students", id, true));
}

/**
 * Uploads a public set and puts it into the catalogue, instead of one of the same name.
 *
 * @throws ProblemError if a row isn't valid
 */
export async function publishPublicSet(
  store: Bucket,
  publication: { file: string; description: string },
): Promise<PublicSet> {
  const record = await uploadPublicSet(store, publication);
  await changeCatalogue(store, (before) => withPublicSet(before, record));
  return record;
}

async function uploadModel(
  store: Bucket,
  folder: string,
  model: { files: FileRecord[]; digest: string },
): Promise<void> {
  const prefix = bucket.model(model.digest);
  for (const { name, sha256 } of model.files) {
    if (!(await store.has(prefix + name))) await store.upload(join(folder, name), prefix + name, sha256);
  }
}

/** Only the provider's own commands write the catalogue, one at a time. */
async function changeCatalogue(store: Bucket, change: (catalogue: Catalogue) => Catalogue): Promise<void> {
  const title = "The catalogue is damaged";
  const before = (await store.has(bucket.catalogue))
    ? validate(catalogueSchema, await store.readJson(bucket.catalogue), bucket.catalogue, title)
    : { students: [], publicSets: [] };
  await store.write(bucket.catalogue, JSON.stringify(change(before)));
}

async function embeddingNorms(checkpoint: Checkpoint): Promise<Student["embeddingNorms"]> {
  const { family, config } = checkpoint;
  const table = await readWeight(checkpoint, family.embeddings(config)[0]!);
  let [sum, max] = [0, 0];
  for (let row = 0; row < config.vocabulary; row++) {
    const norm = Math.hypot(...table.subarray(row * config.width, (row + 1) * config.width));
    sum += norm;
    max = Math.max(max, norm);
  }
  return { mean: sum / config.vocabulary, max };
}
