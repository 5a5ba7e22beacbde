import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DTYPE_BYTES } from "../prompt/dtype.ts";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { Quantisation } from "../protocol/weights.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { bitsOf, PARTS, quantiseRows, transposed } from "./narrow-matrix.ts";
import {
  type MatrixShape,
  METADATA_KEY,
  narrowMatrices,
  type Part,
  partsOf,
  QUANTISATION_FILE,
  type QuantisedRecord,
  WEIGHT_FILE,
} from "./quantised-files.ts";
import { readFully } from "./weight-files.ts";
import { readWeight } from "./weights.ts";

const TITLE = "The model can't be quantised";
/** The largest number of 16 bits. */
const LARGEST_HALF = 65_504;
/** Bytes of a tensor that is only copied which are held at a time. */
const COPIED = 2 ** 24;

export interface Quantising {
  /** Digest of the checkpoint's files. */
  readonly source: string;
  readonly quantisation: Quantisation;
  /** Whether all other weights are copied into the file too, so that it needs no other. */
  readonly whole: boolean;
  /** Called after every matrix: how many are done, and of how many. */
  readonly onMatrix?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a checkpoint's matrices in fewer bits into a folder: model.safetensors, and quantisation.json, which says of what they are. One matrix at a
 * time is in memory.
 * @throws ProblemError naming a matrix with values that the form can't hold; the signal's reason when stopped
 */
export async function writeQuantised(checkpoint: Checkpoint, folder: string, options: Quantising): Promise<void> {
  const { quantisation, source, whole, onMatrix, signal } = options;
  await mkdir(folder, { recursive: true });
  const matrices = narrowMatrices(checkpoint.family, checkpoint.config, quantisation);
  const others = whole ? [...checkpoint.weights].filter(([name]) => !matrices.has(name)) : [];
  const parts = [
    ...[...matrices].flatMap(([name, shape]) => partsOf(name, shape, quantisation)),
    ...others.map(([name, { dtype, shape }]): Part => ({ name, dtype: dtype as Part["dtype"], shape })),
  ];
  const path = join(folder, WEIGHT_FILE);
  await using file = await open(path, "w+");
  const places = await writeHeader(file, parts, { format: "pt", [METADATA_KEY]: JSON.stringify(quantisation) });
  const put = (name: string, { buffer, byteOffset, byteLength }: Uint8Array | Uint16Array | Float32Array) =>
    writeFully(file, new Uint8Array(buffer, byteOffset, byteLength), places.get(name)!);
  let done = 0;
  for (const [name, shape] of matrices) {
    signal?.throwIfAborted();
    const values = await rowsOf(checkpoint, name, shape);
    if (quantisation.weights === "fp16") await put(name, toHalf(values, name));
    else {
      const kind = { ...quantisation, bits: bitsOf(quantisation.weights) };
      const made = quantiseRows(values, shape.columns, kind);
      for (const part of ["values", "scales", "zeroPoints"] as const) await put(name + PARTS[part], made[part]);
    }
    done += 1;
    onMatrix?.(done, matrices.size);
  }
  for (const [name, { location }] of others) {
    await using from = await open(location.file);
    for (let at = 0; at < location.length; at += COPIED) {
      signal?.throwIfAborted();
      const bytes = new Uint8Array(Math.min(COPIED, location.length - at));
      await readFully(from, bytes, location.offset + at);
      await writeFully(file, bytes, places.get(name)! + at);
    }
  }
  const record: QuantisedRecord = {
    format: "softpost-weights/1",
    source,
    quantisation,
    sha256: await digest(file, signal),
  };
  await writeFile(join(folder, QUANTISATION_FILE), `${JSON.stringify(record, null, 2)}\n`);
}

/** Writes a safetensors header. @returns where each tensor begins in the file */
async function writeHeader(
  file: FileHandle,
  parts: readonly Part[],
  metadata: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, number>> {
  // The widest types first, so that every number lies at a multiple of its size.
  const inOrder = [...parts].sort((a, b) => DTYPE_BYTES[b.dtype]! - DTYPE_BYTES[a.dtype]!);
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  const offsets = new Map<string, number>();
  let size = 0;
  for (const { name, dtype, shape } of inOrder) {
    const end = size + shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]!);
    header[name] = { dtype, shape, data_offsets: [size, end] };
    offsets.set(name, size);
    size = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  await writeFully(file, bytes, 0);
  return new Map([...offsets].map(([name, offset]) => [name, start + offset]));
}

/** A matrix as float32, the outputs first. */
async function rowsOf(checkpoint: Checkpoint, name: string, shape: MatrixShape): Promise<Float32Array> {
  const values = await readWeight(checkpoint, name);
  if (!allFinite(values)) {
    throw new ProblemError(TITLE, `${quote(name)} has values that are not finite.`, { status: 422 });
  }
  return shape.transposed ? transposed(values, shape) : values;
}

function allFinite(values: Float32Array): boolean {
  // A loop: `every` takes longer than the rounding.
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}

function toHalf(values: Float32Array, name: string): Uint16Array {
  const view = new DataView(new ArrayBuffer(2 * values.length)) as DataView & {
    setFloat16(at: number, value: number, little: boolean): void;
  };
  for (const [i, value] of values.entries()) {
    if (Math.abs(value) > LARGEST_HALF) {
      const detail = `${quote(name)} has ${value}, which is more than 16 bits hold. Use int8.`;
      throw new ProblemError(TITLE, detail, { status: 422 });
    }
    view.setFloat16(2 * i, value, true);
  }
  return new Uint16Array(view.buffer);
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

async function digest(file: FileHandle, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  const bytes = new Uint8Array(COPIED);
  for (let at = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(bytes.subarray(0, bytesRead));
    at += bytesRead;
  }
}
