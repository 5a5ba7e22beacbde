import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { type Device, prepareRuntime } from "../../shared/graph/engine.ts";
import type { Graph } from "../../shared/graph/graph.ts";
import { serialise } from "../../shared/graph/serialise.ts";
import type { Tensor } from "../../shared/graph/tensor.ts";
import { elementsOf, outputsOf, reached } from "../../shared/graph/traversal.ts";
import type { Checkpoint } from "../../shared/models/checkpoint.ts";
import type { Precision } from "../../shared/models/model.ts";
import { seededRandom } from "../../shared/protocol/random.ts";
import { ALL_GRAPHS_SIZES, allGraphs } from "../../shared/training/all-graphs.ts";

const SIZES = { B: ALL_GRAPHS_SIZES.batch, T: ALL_GRAPHS_SIZES.length };
/** How far a value may be off, relative to the largest of its tensor. TF32 would be off by 1e-3. */
const LIMITS: Readonly<Record<Precision, number>> = { float32: 1e-4, float16: 3e-2 };
/** The loss scale divides: it must not be small. */
const LOSS_SCALE = 1024;

export interface Compared {
  readonly name: string;
  /** The largest difference of a value, relative to the largest value of its tensor. */
  readonly error: number;
  readonly limit: number;
  /** Operators that ONNX Runtime ran on the CPU though the device was asked for. */
  readonly onCpu: readonly string[];
}

/** Runs every graph of a checkpoint once on the CPU and once on the device, with the same random values. */
export async function compareGraphs(checkpoint: Checkpoint, precision: Precision, device: Device): Promise<Compared[]> {
  prepareRuntime();
  const compared: Compared[] = [];
  for (const [i, { name, graph }] of (await allGraphs(checkpoint, precision)).entries()) {
    const feeds = randomFeeds(graph, checkpoint.config.vocabulary, i);
    const expected = await runOnce(graph, feeds, "cpu");
    const found = await runOnce(graph, feeds, device);
    const errors = Object.entries(expected.results).map(([output, value]) => distance(value, found.results[output]!));
    compared.push({ name, error: Math.max(0, ...errors), limit: LIMITS[precision], onCpu: found.onCpu });
  }
  return compared;
}

/** Values for all inputs and variables: whole numbers that are valid wherever one is asked for, and small positive ones. */
function randomFeeds(graph: Graph, vocabulary: number, seed: number): Record<string, OrtTensor> {
  const random = seededRandom(seed + 1);
  const outputs = outputsOf(graph);
  const elements = elementsOf(outputs, SIZES);
  const uniform = (count: number) => {
    const words = new Uint32Array(count);
    random.fill(new Uint8Array(words.buffer));
    return Float64Array.from(words, (word) => word / 2 ** 32);
  };
  const feeds: Record<string, OrtTensor> = {};
  for (const leaf of reached(outputs).leaves) {
    const { source } = leaf;
    if (source.kind !== "input" && source.kind !== "variable") continue;
    const draws = uniform(elements(leaf));
    const dims = leaf.shape.map((_, axis) => elements({ ...leaf, shape: [leaf.shape[axis]!] } as Tensor));
    if (leaf.dtype === "int32") {
      const isTokens = source.name === "ids";
      const whole = Int32Array.from(draws, (x) => (isTokens ? Math.floor(x * vocabulary) : 1));
      feeds[source.name] = new OrtTensor("int32", whole, dims);
    } else {
      const small = Float32Array.from(draws, (x) => (source.name === "loss.scale" ? LOSS_SCALE : 0.05 + x / 10));
      feeds[source.name] = new OrtTensor("float32", small, dims);
    }
  }
  return feeds;
}

async function runOnce(graph: Graph, feeds: Record<string, OrtTensor>, device: Device) {
  const next = Object.fromEntries((graph.updates ?? []).map(({ next }, i) => [`next.${i}`, next]));
  const { bytes, weightFolder } = serialise({ ...graph.outputs, ...next });
  const profiles = await mkdtemp(join(tmpdir(), "softpost-profile-"));
  try {
    const session = await InferenceSession.create(bytes, {
      executionProviders: [device],
      logSeverityLevel: 3,
      enableProfiling: true,
      profileFilePrefix: join(profiles, "profile"),
      extra: {
        session: { ...(weightFolder !== undefined && { model_external_initializers_file_folder_path: weightFolder }) },
      },
    });
    const given = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]));
    const outputs = await session.run(given);
    const results = Object.fromEntries(
      Object.entries(outputs).map(([name, { data }]) => [name, data as ArrayLike<number>]),
    );
    session.endProfiling();
    await session.release();
    return { results, onCpu: device === "cpu" ? [] : await operatorsOnCpu(profiles) };
  } finally {
    await rm(profiles, { recursive: true, force: true });
  }
}

/** The operators that ONNX Runtime's own profile says to have run on the CPU. */
async function operatorsOnCpu(folder: string): Promise<string[]> {
  const [file] = await readdir(folder);
  if (file === undefined) return ["unknown: there is no profile"];
  const events: { args?: { provider?: string; op_name?: string } }[] = JSON.parse(
    await readFile(join(folder, file), "utf8"),
  );
  const operators = events.flatMap(({ args }) =>
    args?.provider === "CPUExecutionProvider" ? (args.op_name ?? []) : [],
  );
  return [...new Set(operators)].sort();
}

function distance(expected: ArrayLike<number>, found: ArrayLike<number>): number {
  let [largest, most] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(Number(expected[i]) - Number(found[i]));
    // What isn't a number on one side only is as wrong as can be.
    if (Number.isNaN(difference))
      return Number.isNaN(Number(expected[i])) === Number.isNaN(Number(found[i])) ? 0 : Number.POSITIVE_INFINITY;
    largest = Math.max(largest, Math.abs(Number(expected[i])));
    most = Math.max(most, difference);
  }
  return largest === 0 ? most : most / largest;
}
