import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { cast } from "../graph/operators/layout.ts";
import type { DType, Tensor, WeightLocation } from "../graph/tensor.ts";
import { type FloatDtype, toFloat32 } from "../prompt/dtype.ts";
import { headerBytes, parseHeader, type TensorEntry } from "../prompt/safetensors.ts";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { noSafetensors, shardNames } from "../protocol/weight-files.ts";
import { configureModel } from "./configure.ts";
import type { Family, ModelConfig, Parameters, Precision } from "./model.ts";

const TITLE = "The model can't be read";
/** A config.json of a few kilobytes is usual; a shard index lists every tensor of the largest models. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;
const DTYPES: Readonly<Record<string, DType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** A model folder that was opened and checked: what it is, and where its weights lie. */
export interface Checkpoint {
  readonly folder: string;
  readonly family: Family;
  readonly config: ModelConfig;
  /** config.json as it is. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Where every weight of the family lies, by the family's name for it. */
  readonly weights: ReadonlyMap<string, LocatedWeight>;
}

interface LocatedWeight {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly location: WeightLocation;
}

/**
 * Opens a Hugging Face model folder: config.json and model.safetensors, or its shards with their index. Headers are
 * read and every weight's place, type and shape is checked; weights themselves are not read.
 * @throws ProblemError naming the file and the field or tensor at fault, all of them together
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const json = await readJson(join(folder, "config.json"));
  const { family, config } = configureModel(json, join(folder, "config.json"));
  const files = await weightFiles(folder);
  const found = new Map<string, LocatedWeight>();
  for (const file of files) for (const [name, weight] of await readWeights(file)) found.set(name, weight);

  const faults: Fault[] = [];
  const weights = new Map<string, LocatedWeight>();
  const shapes = family.parameters(config);
  const [embedding] = family.embeddings(config);
  const head = family.head(config);
  for (const [name, shape] of Object.entries(shapes)) {
    const tied = name === embedding && !(head in shapes);
    const weight = [...otherNames(name), ...(tied ? [head] : [])].map((other) => found.get(other)).find(Boolean);
    if (!weight) faults.push({ at: name, message: "is missing" });
    else if (!DTYPES[weight.dtype])
      faults.push({ at: name, message: `has dtype ${weight.dtype}; F32, F16 or BF16 can be used` });
    else if (weight.shape.join() !== shape.join()) {
      faults.push({
        at: name,
        message: `has shape [${weight.shape.join(", ")}]; config.json says [${shape.join(", ")}]`,
      });
    } else weights.set(name, weight);
  }
  if (faults.length > 0) {
    throw new ProblemError(TITLE, `the weights in ${folder} do not fit its config.json`, { status: 422, faults });
  }
  return { folder, family, config, json, weights };
}

/**
 * The frozen weights of a checkpoint, which ONNX Runtime reads from the file where they lie.
 * @param precision of matrices; vectors (norms, biases) are float32
 */
export function frozenWeights(checkpoint: Checkpoint, precision: Precision = "float32"): Parameters {
  const made = new Map<string, Tensor>();
  return (name) => {
    const known = made.get(name);
    if (known) return known;
    const weight = checkpoint.weights.get(name);
    if (!weight) throw new Error(`no weight is called ${name}`);
    const { dtype, shape, location } = weight;
    const stored: Tensor = { dtype: DTYPES[dtype]!, shape, source: { kind: "weight", name, location } };
    const tensor = cast(stored, shape.length > 1 ? precision : "float32");
    made.set(name, tensor);
    return tensor;
  };
}

/** Reads one weight into memory as float32. */
export async function readWeight(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const weight = checkpoint.weights.get(name);
  if (!weight) throw new Error(`no weight is called ${name}`);
  const { file, offset, length } = weight.location;
  const handle = await open(file);
  try {
    const bytes = new Uint8Array(length);
    await readFully(handle, bytes, offset);
    return toFloat32(bytes, weight.dtype as FloatDtype);
  } finally {
    await handle.close();
  }
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const size = (await stat(file).catch(missing(file))).size;
  if (size > MAX_JSON_BYTES)
    throw new ProblemError(TITLE, `${file} has ${size} bytes; at most ${MAX_JSON_BYTES} are read.`);
  try {
    const json: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch (cause) {
    throw new ProblemError(TITLE, `${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new ProblemError(TITLE, `${file} is not a JSON object.`);
}

/** Absolute paths of the weight files. Symbolic links (a hub cache's snapshot) are resolved: ONNX Runtime refuses them. */
async function weightFiles(folder: string): Promise<string[]> {
  const single = join(folder, "model.safetensors");
  const index = join(folder, "model.safetensors.index.json");
  const sharded = !(await exists(single));
  if (sharded && !(await exists(index))) throw noSafetensors(await readdir(folder), folder);
  const names = sharded ? shardNames(await readJson(index), index) : ["model.safetensors"];
  return Promise.all(names.map((name) => realpath(join(folder, name)).catch(missing(join(folder, name)))));
}

/** The names of all tensors in a folder's safetensors files, whether a model uses them or not, with the files' real paths. */
export async function weightNames(folder: string): Promise<{ file: string; names: string[] }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
  return Promise.all(
    names.map(async (name) => {
      const file = await realpath(join(folder, name));
      return { file, names: (await readWeights(file)).map(([tensor]) => tensor) };
    }),
  );
}

async function readWeights(file: string): Promise<[string, LocatedWeight][]> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = new Uint8Array(Math.min(8, size));
    await readFully(handle, start, 0);
    const header = new Uint8Array(headerBytes(start, size, file));
    await readFully(handle, header, 0);
    return [...parseHeader(header, size, file).tensors].map(([name, entry]) => [name, located(file, entry)]);
  } finally {
    await handle.close();
  }
}

function located(file: string, { dtype, shape, begin, end }: TensorEntry): LocatedWeight {
  return { dtype, shape, location: { file, offset: begin, length: end - begin } };
}

async function readFully(handle: Awaited<ReturnType<typeof open>>, into: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new ProblemError(TITLE, "a weight file became shorter while it was read");
    done += bytesRead;
  }
}

/**
 * What a weight may be called: base checkpoints on the hub leave out the prefix that language-model classes add, and BERT's
 * first ones have TensorFlow's words for the norms.
 */
function otherNames(name: string): string[] {
  const bare = name.slice(name.indexOf(".") + 1);
  const old = name.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta");
  return [name, bare, old];
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
