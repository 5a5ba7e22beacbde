/** What is timed: each benchmark loads its subjects into an engine of its own. */
import type { Engine, Graph } from "../shared/graph/engine.ts";
import { openModel } from "../shared/operations/open-model.ts";
import type { LossName } from "../shared/protocol/manifest.ts";
import { decoding } from "./decoding.ts";
import { evaluations } from "./evaluation.ts";
import { type Subject, subject } from "./measure.ts";
import { randomGpt2 } from "./models.ts";
import { quantised } from "./quantised.ts";
import { answersStep, distillationStep, privateStep, type Size, type Step, transferStep, tuningStep } from "./steps.ts";

/** The subjects of a benchmark, and the graph of ours for its operations. */
export interface Loaded {
  readonly ours: Subject;
  readonly naive?: Subject;
  readonly graph?: Graph;
  /** How often ours runs that graph, each time on as large a part of the rows. */
  readonly batches?: number;
}

export interface Benchmark {
  readonly name: string;
  readonly size: Size;
  /** Layers of the model, or of the target. */
  readonly layers: number;
  /** The steps of another program that do the same, by that program's names. */
  readonly peers: readonly string[];
  load(engine: Engine, folder: string): Promise<Loaded>;
}

const STUDENT_LAYERS = 4;
const TARGET_LAYERS = 12;
const STEP: Size = { B: 8, P: 100, T: 32 };

async function loadStep(engine: Engine, step: Step): Promise<Loaded> {
  const { ours, naive, feeds, naiveFeeds = feeds, batches = 1, variables } = step;
  await engine.set(variables);
  const fast = subject(await engine.load(ours), feeds, batches);
  return {
    ours: fast,
    graph: ours,
    batches,
    ...(naive && { naive: subject(await engine.load(naive), naiveFeeds) }),
  };
}

const onModel = (layers: number, step: typeof tuningStep) => ({
  size: STEP,
  layers,
  load: async (engine: Engine, folder: string) =>
    loadStep(engine, step((await randomGpt2(folder, layers)).model, STEP)),
});

const transferBenchmark = (name: string, loss: LossName, peers: readonly string[]): Benchmark => ({
  name,
  size: STEP,
  layers: TARGET_LAYERS,
  peers,
  async load(engine, folder) {
    const [target, student] = [await randomGpt2(folder, TARGET_LAYERS), await randomGpt2(folder, STUDENT_LAYERS)];
    return loadStep(engine, transferStep(target.model, student.model, loss, STEP));
  },
});

/**
 * Texts of T tokens that are answered by 32 each, every row with a prompt of its own, whose keys and values are there; the head is quantised too where matrices are.
 */
const decodingBenchmark = (name: string, B: number, weights?: "int8"): Benchmark => ({
  name,
  layers: TARGET_LAYERS,
  size: { B, P: 100, T: 64 },
  peers: ["decode-peft"],
  async load(engine, folder) {
    const published = await randomGpt2(folder, TARGET_LAYERS);
    const { model } = weights
      ? await openModel(await quantised(published.folder, weights, true), { id: name, digest: "" })
      : published;
    return { ours: await decoding(engine, model, this.size) };
  },
});

export const BENCHMARKS: readonly Benchmark[] = [
  { name: "tuning, 4 layers", peers: ["tune-peft", "tune-hand"], ...onModel(STUDENT_LAYERS, tuningStep) },
  { name: "tuning, 12 layers", peers: ["tune-peft", "tune-hand"], ...onModel(TARGET_LAYERS, tuningStep) },
  { name: "private tuning, 4 layers", peers: ["tune-dp-hand"], ...onModel(STUDENT_LAYERS, privateStep) },
  { name: "private tuning, 12 layers", peers: ["tune-dp-hand"], ...onModel(TARGET_LAYERS, privateStep) },
  transferBenchmark("transfer", "classes", []),
  transferBenchmark("transfer, vocabulary loss", "vocabulary", ["transfer-ref"]),
  {
    name: "distillation",
    size: { B: 4, P: 0, T: 128 },
    layers: TARGET_LAYERS,
    peers: ["distill"],
    async load(engine, folder) {
      const { checkpoint } = await randomGpt2(folder, TARGET_LAYERS);
      return loadStep(engine, await distillationStep(checkpoint, [0, 1, 10, 11], this.size));
    },
  },
  {
    name: "tuning on answers",
    layers: TARGET_LAYERS,
    size: { B: 8, P: 100, T: 64 },
    peers: ["tune-answers-peft"],
    async load(engine, folder) {
      return loadStep(engine, answersStep((await randomGpt2(folder, TARGET_LAYERS)).model, this.size));
    },
  },
  decodingBenchmark("decoding, one row", 1),
  decodingBenchmark("decoding, one row, int8", 1, "int8"),
  decodingBenchmark("decoding, eight rows of eight prompts", 8),
  {
    name: "evaluation",
    size: { B: 64, P: 100, T: 64 },
    layers: STUDENT_LAYERS,
    peers: ["evaluate"],
    async load(engine, folder) {
      return evaluations(engine, (await randomGpt2(folder, STUDENT_LAYERS)).model, this.size);
    },
  },
];
