import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { DTYPE_BYTES } from "../prompt/dtype.ts";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { parseJson, validate } from "../protocol/json.ts";
import { digestSchema } from "../protocol/manifest.ts";
import { type Quantisation, quantisationSchema } from "../protocol/weights.ts";
import type { Family, ModelConfig } from "./model.ts";
import { bitsOf, type NarrowMatrix, PARTS, partShapes } from "./narrow-matrix.ts";
import { type LocatedWeight, readHeader } from "./weight-files.ts";

/** Beside weights that were made narrow: of what, how, and the file's digest. */
export const QUANTISATION_FILE = "quantisation.json";
/** The key of the safetensors file's metadata with the quantisation as JSON. */
export const METADATA_KEY = "softpost_quantisation";
export const WEIGHT_FILE = "model.safetensors";
const TITLE = "The quantised weights can't be used";

const quantisedSchema = z.strictObject({
  format: z.literal("softpost-weights/1"),
  /** Digest of the published checkpoint. */
  source: digestSchema,
  quantisation: quantisationSchema,
  /** SHA-256 of the safetensors file: what was cut off, changed, or is another model's, is found by it. */
  sha256: digestSchema,
});

export type QuantisedRecord = z.output<typeof quantisedSchema>;

/** A matrix as it lies, narrow: in blocks, or of 16 bits. */
export type StoredMatrix = NarrowMatrix | LocatedWeight;

/** What a folder says of its quantised weights; undefined where they are none. @throws ProblemError if it says it wrongly */
export async function readQuantisedRecord(folder: string): Promise<QuantisedRecord | undefined> {
  const file = join(folder, QUANTISATION_FILE);
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new ProblemError(TITLE, `${file} can't be read (${error.code}).`, { cause: error });
  });
  return text === undefined ? undefined : validate(quantisedSchema, parseJson(text, file, TITLE), file, TITLE);
}

/** @throws ProblemError if the file's digest isn't the one that its record says */
export function requireRecordedDigest({ sha256 }: QuantisedRecord, folder: string, found: string | undefined): void {
  if (found === sha256) return;
  const detail = `${join(folder, WEIGHT_FILE)} isn't the file that ${QUANTISATION_FILE} beside it describes: it was changed, cut off, or is another model's. Make it anew with softpost quantise.`;
  throw new ProblemError(TITLE, detail, { status: 422 });
}

/** A matrix that a quantisation makes narrow: rows are of outputs or of tokens. */
export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
  /** Whether the checkpoint has the inputs first. */
  readonly transposed: boolean;
}

/** The matrices that a quantisation makes narrow, by their names in the checkpoint. 16 bits are every matrix. */
export function narrowMatrices(
  family: Family,
  config: ModelConfig,
  quantisation: Quantisation,
): ReadonlyMap<string, MatrixShape> {
  const shapes = family.parameters(config);
  const embedding = family.embeddings(config)[0]!;
  const head = family.head(config) in shapes ? family.head(config) : embedding;
  const found = new Map<string, MatrixShape>();
  for (const [name, shape] of Object.entries(shapes)) {
    const [first, second] = shape;
    if (shape.length !== 2) continue;
    const inLayer = family.layerOf(name) !== null;
    const chosen =
      quantisation.weights === "fp16" ||
      inLayer ||
      (quantisation.head && name === head) ||
      (quantisation.embeddings && name === embedding);
    if (!chosen) continue;
    const transposed = quantisation.weights !== "fp16" && inLayer && family.inputsFirst;
    found.set(name, { rows: transposed ? second! : first!, columns: transposed ? first! : second!, transposed });
  }
  return found;
}

/** A tensor of the file. */
export interface Part {
  readonly name: string;
  readonly dtype: "F32" | "F16" | "U8" | "BF16";
  readonly shape: readonly number[];
}

/** The tensors that a matrix is stored as: itself in 16 bits, or its blocks' values, scales and zero points. */
export function partsOf(name: string, { rows, columns }: MatrixShape, quantisation: Quantisation): Part[] {
  if (quantisation.weights === "fp16") return [{ name, dtype: "F16", shape: [rows, columns] }];
  const { weights, block } = quantisation;
  const shapes = partShapes(rows, columns, { block, bits: bitsOf(weights) });
  return [
    { name: name + PARTS.values, dtype: "U8", shape: shapes.values },
    { name: name + PARTS.scales, dtype: "F32", shape: shapes.scales },
    { name: name + PARTS.zeroPoints, dtype: "U8", shape: shapes.zeroPoints },
  ];
}

/** A matrix of its tensors, in the order of {@link partsOf}. */
function storedMatrix(parts: readonly LocatedWeight[], quantisation: Quantisation): StoredMatrix {
  const [first, scales, zeroPoints] = parts;
  if (quantisation.weights === "fp16") return first!;
  const { weights, block } = quantisation;
  return { bits: bitsOf(weights), block, values: first!, scales: scales!, zeroPoints: zeroPoints! };
}

/**
 * Finds a model's narrow matrices in a file, and checks name, type and shape of every part.
 * @param folder with the safetensors file
 * @throws ProblemError with everything that is wrong
 */
export async function locateQuantised(
  folder: string,
  family: Family,
  config: ModelConfig,
  quantisation: Quantisation,
): Promise<ReadonlyMap<string, StoredMatrix>> {
  const path = join(folder, WEIGHT_FILE);
  const file = await realpath(path).catch((cause: unknown) => {
    throw new ProblemError(TITLE, `${path} can't be opened: ${(cause as Error).message}`, { status: 404, cause });
  });
  const { tensors, metadata } = await readHeader(file);
  const faults: Fault[] = [];
  requireLabel(metadata[METADATA_KEY], quantisation, path);
  const there = new Map(tensors);
  const part = ({ name, dtype, shape }: Part): LocatedWeight | undefined => {
    const weight = there.get(name);
    const wanted = `${dtype} [${shape.join(", ")}]`;
    if (!weight) faults.push({ at: name, message: "is missing" });
    else if (weight.dtype !== dtype || weight.shape.join() !== shape.join())
      faults.push({ at: name, message: `is ${weight.dtype} [${weight.shape.join(", ")}]; it must be ${wanted}` });
    return weight;
  };
  const found = new Map<string, StoredMatrix>();
  for (const [name, shape] of narrowMatrices(family, config, quantisation)) {
    const parts = partsOf(name, shape, quantisation).map(part);
    if (parts.every((each) => each !== undefined)) found.set(name, storedMatrix(parts, quantisation));
  }
  if (faults.length > 0) {
    const detail = `${path} doesn't hold the ${quantisation.weights} weights of this model.`;
    throw new ProblemError(TITLE, detail, { status: 422, faults });
  }
  return found;
}

/** @throws ProblemError if the file's own label isn't what is said of it */
function requireLabel(label: string | undefined, quantisation: Quantisation, path: string): void {
  const title = `${path}, metadata ${METADATA_KEY}`;
  const own = label === undefined ? undefined : quantisationSchema.safeParse(parseJson(label, title, TITLE)).data;
  if (own && JSON.stringify(own) === JSON.stringify(quantisation)) return;
  const detail = `${title} is ${label ?? "missing"}; ${QUANTISATION_FILE} says ${JSON.stringify(quantisation)}.`;
  throw new ProblemError(TITLE, detail, { status: 422 });
}

/** The matrices of a quantisation before they are made, for estimates: as large as they will be, and nowhere yet. */
export function plannedMatrices(
  family: Family,
  config: ModelConfig,
  quantisation: Quantisation,
): ReadonlyMap<string, StoredMatrix> {
  const part = ({ dtype, shape }: Part): LocatedWeight => ({
    dtype,
    shape,
    location: { file: "", offset: 0, length: shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]!) },
  });
  const matrices = [...narrowMatrices(family, config, quantisation)].map(
    ([name, shape]) => [name, storedMatrix(partsOf(name, shape, quantisation).map(part), quantisation)] as const,
  );
  return new Map(matrices);
}

/** Bytes that a matrix takes where it lies. */
export function storedBytes(matrix: StoredMatrix): number {
  const parts = "block" in matrix ? [matrix.values, matrix.scales, matrix.zeroPoints] : [matrix];
  return parts.reduce((sum, { location }) => sum + location.length, 0);
}
