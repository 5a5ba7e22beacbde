import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import type { WeightLocation } from "../graph/tensor.ts";
import { type FloatDtype, toFloat32 } from "../prompt/dtype.ts";
import { headerBytes, parseHeader, type TensorEntry } from "../prompt/safetensors.ts";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import { refuseLfsPointer } from "../protocol/lfs.ts";
import { noSafetensors, shardNames } from "../protocol/weight-files.ts";

export const TITLE = "The model can't be read";
/** A config.json of a few kilobytes is usual; a shard index lists every tensor of the largest models. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;
/** Values that are compared at once. */
const COMPARED = 2 ** 20;
/** Bytes that are asked for at once: no system gives 2 GiB. */
const MAX_READ = 2 ** 30;

/** A tensor of a weight file: nothing but its header was read. */
export interface LocatedWeight {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly location: WeightLocation;
}

/** The tensors of a model's weight files by name. */
export interface FoundWeights {
  readonly found: ReadonlyMap<string, LocatedWeight>;
  /** What the user should know about them. */
  readonly notes: readonly string[];
}

/**
 * Reads the headers of model.safetensors, or of its shards. Of a tensor that is in two shards the one counts that the index names.
 *
 * @throws ProblemError if a file is missing or damaged, or shards have different tensors of one name and the index names neither
 */
export async function findWeights(folder: string): Promise<FoundWeights> {
  const { names, map } = await weightFiles(folder);
  const found = new Map<string, LocatedWeight>();
  const from = new Map<string, string>();
  const notes: string[] = [];
  for (const name of names) {
    // Symbolic links (a hub cache's snapshot) are resolved: ONNX Runtime refuses them.
    const file = await realpath(join(folder, name)).catch(missing(join(folder, name)));
    for (const [tensor, weight] of (await readHeader(file)).tensors) {
      const other = found.get(tensor);
      const named = map[tensor];
      if (other && !(await sameValues(other, weight))) {
        const where = `${folder}: ${quote(tensor)} is in ${from.get(tensor)} and in ${name}, with other values`;
        if (named !== from.get(tensor) && named !== name)
          throw new ProblemError(TITLE, `${where}, and the index names neither.`, { status: 422 });
        notes.push(`${where}. The one that the index names is used, of ${named}.`);
      }
      if (other && named !== name) continue;
      found.set(tensor, weight);
      from.set(tensor, name);
    }
  }
  return { found, notes };
}

/** The names of the weight files, and which of them the index names for a tensor. */
async function weightFiles(folder: string): Promise<{ names: string[]; map: Readonly<Record<string, string>> }> {
  const single = join(folder, "model.safetensors");
  const index = join(folder, "model.safetensors.index.json");
  if (await exists(single)) return { names: ["model.safetensors"], map: {} };
  if (!(await exists(index))) throw noSafetensors(await readdir(folder), folder);
  const json = await readJson(index);
  const names = shardNames(json, index).sort();
  return { names, map: Object.assign(Object.create(null), json.weight_map) };
}

/** The names of all tensors in a folder's safetensors files, whether a model uses them or not, with the files' real paths. */
export async function weightNames(folder: string): Promise<{ file: string; names: string[] }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
  return Promise.all(
    names.map(async (name) => {
      const file = await realpath(join(folder, name));
      return { file, names: (await readHeader(file)).tensors.map(([tensor]) => tensor) };
    }),
  );
}

/** Whether two tensors have the same shape and values. */
export async function sameValues(a: LocatedWeight, b: LocatedWeight): Promise<boolean> {
  const values = a.shape.reduce((product, size) => product * size, 1);
  if (a.shape.join() !== b.shape.join()) return false;
  if (a.dtype !== b.dtype && ![a.dtype, b.dtype].every((dtype) => ["F32", "F16", "BF16"].includes(dtype))) return false;
  await using first = await open(a.location.file);
  await using second = await open(b.location.file);
  for (let start = 0; start < values; start += COMPARED) {
    const part = async (handle: typeof first, { dtype, location }: LocatedWeight) => {
      const size = location.length / values;
      const bytes = new Uint8Array(Math.min(COMPARED, values - start) * size);
      await readFully(handle, bytes, location.offset + start * size);
      return a.dtype === b.dtype ? bytes : toFloat32(bytes, dtype as FloatDtype);
    };
    const [left, right] = await Promise.all([part(first, a), part(second, b)]);
    if (!left.every((value, index) => value === right[index])) return false;
  }
  return true;
}

/** @throws ProblemError if it isn't there, too large or no JSON object */
export async function readJson(file: string): Promise<Record<string, unknown>> {
  const size = (await stat(file).catch(missing(file))).size;
  if (size > MAX_JSON_BYTES)
    throw new ProblemError(TITLE, `${file} has ${size} bytes; at most ${MAX_JSON_BYTES} are read.`);
  const text = await readFile(file, "utf8");
  refuseLfsPointer(text, file, TITLE);
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch (cause) {
    throw new ProblemError(TITLE, `${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new ProblemError(TITLE, `${file} is not a JSON object.`);
}

/** The tensors of one file, and its metadata. */
export async function readHeader(
  file: string,
): Promise<{ tensors: [string, LocatedWeight][]; metadata: Readonly<Record<string, string>> }> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = new Uint8Array(Math.min(8, size));
    await readFully(handle, start, 0);
    const header = new Uint8Array(headerBytes(start, size, file));
    await readFully(handle, header, 0);
    const { tensors, metadata } = parseHeader(header, size, file);
    return { tensors: [...tensors].map(([name, entry]) => [name, located(file, entry)]), metadata };
  } finally {
    await handle.close();
  }
}

function located(file: string, { dtype, shape, begin, end }: TensorEntry): LocatedWeight {
  return { dtype, shape, location: { file, offset: begin, length: end - begin } };
}

/** Fills `into` from a position of the file. */
export async function readFully(
  handle: Awaited<ReturnType<typeof open>>,
  into: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, Math.min(MAX_READ, into.length - done), position + done);
    if (bytesRead === 0) throw new ProblemError(TITLE, "a weight file became shorter while it was read");
    done += bytesRead;
  }
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

function missing(file: string) {
  return (cause: unknown): never => {
    throw new ProblemError(TITLE, `${file} can't be opened: ${(cause as Error).message}`, { status: 404, cause });
  };
}
