import { type Fault, ProblemError } from "../protocol/errors.ts";
import { MAX_FAULTS, parseJson, quote } from "../protocol/json.ts";
import { refuseLfsPointer } from "../protocol/lfs.ts";
import { DTYPE_BYTES } from "./dtype.ts";

/** The largest models on the hub have headers of a few hundred kB a file; the format itself allows 100 MB. */
export const MAX_HEADER_BYTES = 8 * 1024 * 1024;
/** A file of a mixture-of-experts model holds a few thousand tensors. */
const MAX_TENSORS = 100_000;
/** No weight of a transformer has more than 4 axes. */
const MAX_RANK = 8;

const LENGTH_BYTES = 8;
const METADATA = "__metadata__";
const TITLE = "The safetensors file is not valid";

export interface TensorEntry {
  /** A safetensors type name, one of the keys of `DTYPE_BYTES`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Where its bytes start and end (exclusive), counted from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/**
 * How many bytes from the start of the file `parseHeader` needs.
 *
 * @param bytes at least the first 8 bytes of the file (fewer if the file has fewer)
 * @throws ProblemError if the file can't hold such a header or it is too large
 */
export function headerBytes(bytes: Uint8Array, fileSize: number, name: string): number {
  if (fileSize < LENGTH_BYTES || bytes.length < LENGTH_BYTES) {
    throw new ProblemError(TITLE, `${name} is truncated: it has ${fileSize} bytes, its header's length alone takes 8.`);
  }
  refuseLfsPointer(bytes, name, TITLE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new ProblemError(
      TITLE,
      `${name} says that its header has ${length} bytes; at most ${MAX_HEADER_BYTES} are read.${likeness(bytes)}`,
    );
  }
  const needed = LENGTH_BYTES + Number(length);
  if (needed > fileSize) {
    throw new ProblemError(
      TITLE,
      `${name} is truncated: its header ends at byte ${needed}, the file at byte ${fileSize}.`,
    );
  }
  return needed;
}

/** What a file that is no safetensors file looks like by its first bytes, for a message. */
function likeness(bytes: Uint8Array): string {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, LENGTH_BYTES));
  const kinds: Readonly<Record<string, string>> = {
    "PK\x03\x04": "a zip archive, as PyTorch's own files are",
    "\x80\x02": "a Python pickle",
    "\x80\x04": "a Python pickle",
    GGUF: "a GGUF file",
    "<": "a web page, such as a hub's login or error",
    "{": "JSON",
  };
  const kind = Object.entries(kinds).find(([first]) => start.startsWith(first))?.[1];
  return kind === undefined ? "" : ` It begins like ${kind}.`;
}

/**
 * Reads the header of a safetensors file and checks it against the file's size: what comes back can be used
 * as offsets without a further look.
 *
 * @param bytes the file or at least its header (`headerBytes` says how much that is)
 * @param fileSize bytes of the whole file
 * @param name of the file, for messages
 * @throws ProblemError with every fault of every tensor: unknown types, shapes that don't fit the bytes, tensors
 *   that overlap or leave gaps, keys that are there twice, bytes after the last tensor
 */
export function parseHeader(bytes: Uint8Array, fileSize: number, name: string): SafetensorsHeader {
  const dataStart = headerBytes(bytes, fileSize, name);
  if (bytes.length < dataStart) {
    throw new ProblemError(
      TITLE,
      `${name} is truncated: its header has ${dataStart} bytes, ${bytes.length} were read.`,
    );
  }
  const json = parseJson(decodeUtf8(bytes.subarray(LENGTH_BYTES, dataStart), name), `The header of ${name}`, TITLE);
  if (!isObject(json)) throw new ProblemError(TITLE, `The header of ${name} is not a JSON object.`);

  const faults: Fault[] = [];
  const metadata = checkMetadata(json[METADATA], name, faults);
  const names = Object.keys(json).filter((key) => key !== METADATA);
  if (names.length > MAX_TENSORS) {
    throw new ProblemError(TITLE, `${name} lists ${names.length} tensors; at most ${MAX_TENSORS} are read.`);
  }
  const tensors = new Map<string, TensorEntry>();
  for (const tensor of names) {
    const entry = checkTensor(json[tensor], dataStart, (message) =>
      faults.push({ at: `${name}, tensor ${quote(tensor)}`, message }),
    );
    if (entry) tensors.set(tensor, entry);
    if (faults.length >= MAX_FAULTS) break;
  }
  if (faults.length === 0) checkCoverage(tensors, dataStart, fileSize, name, faults);
  if (faults.length > 0) {
    const where =
      faults.length === 1 ? `${faults[0]!.at}: ${faults[0]!.message}` : `${name} has ${faults.length} faults.`;
    throw new ProblemError(TITLE, where, { status: 422, faults });
  }
  return { metadata, tensors };
}

function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ProblemError(TITLE, `The header of ${name} is not UTF-8 text.`, { cause });
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkMetadata(value: unknown, name: string, faults: Fault[]): Record<string, string> {
  if (value === undefined) return {};
  if (isObject(value) && Object.values(value).every((text) => typeof text === "string")) {
    return value as Record<string, string>;
  }
  faults.push({ at: `${name}, ${METADATA}`, message: "Must be an object of strings." });
  return {};
}

/** The entry with absolute offsets, or undefined after reporting what is wrong with it. */
function checkTensor(value: unknown, dataStart: number, report: (message: string) => void): TensorEntry | undefined {
  if (!isObject(value)) return void report("Must be an object with dtype, shape and data_offsets.");
  const extra = Object.keys(value).filter((key) => !["dtype", "shape", "data_offsets"].includes(key));
  if (extra.length > 0) return void report(`Has the unknown field ${quote(extra[0]!)}.`);
  const { dtype, shape, data_offsets: offsets } = value;

  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    return void report(`The dtype ${quote(String(JSON.stringify(dtype)))} is not known.`);
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isCount)) {
    return void report(`The shape must be at most ${MAX_RANK} whole numbers of 0 or more.`);
  }
  const [from, to] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isCount(from) || !isCount(to) || from > to) {
    return void report("The data_offsets must be two whole numbers, the first not above the second.");
  }
  const size = byteSize(shape, DTYPE_BYTES[dtype]!);
  if (size === undefined) return void report(`The shape [${shape}] holds more elements than can be counted.`);
  if (size !== to - from) {
    return void report(`The shape [${shape}] of ${dtype} takes ${size} bytes, but its offsets span ${to - from}.`);
  }
  return { dtype, shape, begin: dataStart + from, end: dataStart + to };
}

/** Bytes of a tensor, or undefined where the product leaves the range of exact integers. */
function byteSize(shape: readonly number[], elementBytes: number): number | undefined {
  let size = elementBytes;
  for (const axis of shape) {
    size *= axis;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

/** The tensors must cover the data exactly: no overlap, no gap, nothing after the last one. */
function checkCoverage(
  tensors: ReadonlyMap<string, TensorEntry>,
  dataStart: number,
  fileSize: number,
  name: string,
  faults: Fault[],
): void {
  let reached = dataStart;
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (const [tensor, { begin, end }] of inOrder) {
    const at = `${name}, tensor ${quote(tensor)}`;
    if (begin < reached) faults.push({ at, message: `Overlaps the tensor before it by ${reached - begin} bytes.` });
    if (begin > reached) faults.push({ at, message: `Leaves a gap of ${begin - reached} bytes before it.` });
    if (end > fileSize)
      faults.push({ at, message: `Is truncated: it ends at byte ${end}, the file at byte ${fileSize}.` });
    if (faults.length > 0) return;
    reached = end;
  }
  if (reached < fileSize) {
    faults.push({ at: name, message: `Has ${fileSize - reached} bytes after its last tensor.` });
  }
}

export interface TensorData {
  readonly name: string;
  readonly shape: readonly number[];
  /** As many elements as the shape says. */
  readonly data: Float32Array;
}

/**
 * A safetensors file of F32 tensors in pieces, which are its bytes one after the other, byte for byte what the reference implementation writes: the header,
 * padded with spaces to a multiple of 8, then the tensors by name. A tensor's piece is its own memory.
 *
 * @throws ProblemError if a name is there twice or reserved, or data and shape don't fit
 */
export function safetensorsPieces(
  tensors: readonly TensorData[],
  metadata: Readonly<Record<string, string>> = {},
): readonly Uint8Array[] {
  // Without a prototype, so that a tensor may be named __proto__.
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  // The reference sorts by UTF-8 bytes, which for names within the basic plane is the order of `<`.
  const inOrder = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  let size = 0;
  for (const { name, shape, data } of inOrder) {
    if (Object.hasOwn(header, name) || name === METADATA) {
      throw new ProblemError(TITLE, `The tensor name ${quote(name)} is taken.`);
    }
    if (byteSize(shape, 4) !== data.byteLength) {
      throw new ProblemError(TITLE, `The tensor ${quote(name)} of shape [${shape}] has ${data.length} elements.`);
    }
    header[name] = { dtype: "F32", shape, data_offsets: [size, size + data.byteLength] };
    size += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - LENGTH_BYTES), true);
  start.set(json, LENGTH_BYTES);
  return [start, ...inOrder.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
}

/** The same as one array. */
export function encodeSafetensors(
  tensors: readonly TensorData[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const pieces = safetensorsPieces(tensors, metadata);
  const file = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let position = 0;
  for (const piece of pieces) {
    file.set(piece, position);
    position += piece.length;
  }
  return file;
}
