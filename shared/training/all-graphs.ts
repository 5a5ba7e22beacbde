import type { Engine, Graph, Session, Value } from "../graph/engine.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import type { Model, Precision } from "../models/model.ts";
import { frozenWeights } from "../models/weights.ts";
import type { PrivacyPlan } from "../privacy/plan.ts";
import { LOSSES } from "../protocol/manifest.ts";
import { seededRandom } from "../protocol/random.ts";
import { distill } from "./distill.ts";
import { dpTune } from "./dp-tune.ts";
import { predict } from "./evaluate.ts";
import { initialPrompt } from "./initial-prompt.ts";
import { ADAM, type Optimizer } from "./optimizers.ts";
import { pretrain } from "./pretrain.ts";
import { readScores, readStates, transfer } from "./transfer.ts";
import { tune } from "./tune.ts";

const PROMPT_ROWS = 4;
const CLASSES = [[5], [6, 7]];
const TEXTS = [3, 5].map((length, label) => ({ ids: new Int32Array(length), readAt: length - 1, label }));
const ADAMW: Optimizer = { name: "adamw", betas: [0.9, 0.98], epsilon: 1e-6, weightDecay: 0.1 };
const PLAN: PrivacyPlan = {
  sampler: "poisson",
  neighbouring: "add-or-remove-one",
  accountant: "rdp",
  records: TEXTS.length,
  batchSize: 1,
  sampleRate: 0.5,
  steps: 0,
  clip: 1,
  noiseMultiplier: 1,
  delta: 1e-5,
  epsilon: 1,
};

/** A graph, under the name of what loads it. */
export interface NamedGraph {
  readonly name: string;
  readonly graph: Graph;
}

/** Rows of the prompts, and sizes of the inputs, of {@link allGraphs}. */
export const ALL_GRAPHS_SIZES = { rows: PROMPT_ROWS, batch: 2, length: 8 } as const;

/**
 * Every graph that training and evaluation load for a checkpoint. The functions themselves build them, for runs of no steps, with an engine that only
 * keeps what it is given.
 * @param precision of the frozen weights; weights are only trained in float32
 */
export async function allGraphs(checkpoint: Checkpoint, precision: Precision): Promise<readonly NamedGraph[]> {
  const { family, config } = checkpoint;
  const model = family.build(config, frozenWeights(checkpoint, precision));
  const start = floats([PROMPT_ROWS, config.width]);
  const state = { path: "never written", settings: {}, resume: false };
  const prompts = { model, target: model, classes: CLASSES, examples: TEXTS, start, state };
  const rates = { learningRate: 1, averagedSteps: 1, steps: 0, batchSize: 2, seed: 0 };
  const language = {
    family,
    config,
    teacher: checkpoint,
    layers: [0],
    tokens: new Int32Array(40),
    heldOut: new Int32Array(40),
    mask: { start: 0, end: 1, mask: 2, vocabulary: config.vocabulary },
    length: 8,
    state,
  };
  const none = new Float32Array();
  const attempts = [{ start, learningRate: 1 }];
  const graphs: NamedGraph[] = [];
  const record = async (name: string, load: (engine: Engine) => Promise<unknown>) => {
    graphs.push(...(await recordGraphs(load)).map((graph) => ({ name, graph })));
  };
  const optimizers: Optimizer[] = [{ name: "sgd" }, ADAM, ADAMW];
  for (const optimizer of optimizers) {
    const options = { ...prompts, ...rates, optimizer, order: { kind: "file" } as const };
    await record(`tune (${optimizer.name})`, (engine) => tune({ ...options, engine }, {}));
  }
  const options = { ...prompts, ...rates, optimizer: ADAM };
  await record("dpTune", (engine) => dpTune({ ...options, engine, plan: PLAN, random: seededRandom(0) }, {}));
  for (const loss of LOSSES) {
    for (const alpha of [0, 0.5]) {
      const criterion = { loss, alpha, classes: CLASSES };
      const texts = { texts: TEXTS, fitted: Int32Array.of(0, 1), cache: { prompted: none } };
      await record(`transfer (${loss}, α ${alpha})`, (engine) =>
        transfer({ ...options, ...texts, criterion, attempts, engine }, {}),
      );
    }
  }
  for (const prompt of [undefined, start]) {
    await record("readStates", (engine) => readStates(engine, model, [], "reading", {}, prompt));
    await record("readScores", (engine) => readScores(engine, model, CLASSES, [], "reading", {}, prompt));
    await record("predict", (engine) => predict({ engine, model, classes: CLASSES, prompt }, [], {}));
  }
  await record("initialPrompt", (engine) => initialPrompt(engine, model, new Int32Array(PROMPT_ROWS)));
  if (precision !== "float32") return graphs;
  await record("distill", (engine) => distill({ ...language, ...rates, engine }, {}));
  await record("pretrain", (engine) => pretrain({ ...language, ...rates, engine }, {}));
  return graphs;
}

/** The graph of a transfer's step to a target. @param rows of its prompt */
export async function transferGraph(target: Model, rows: number): Promise<Graph> {
  const start = floats([rows, target.config.width]);
  const options = {
    target,
    texts: TEXTS,
    fitted: Int32Array.of(0, 1),
    // The criterion that computes most.
    criterion: { loss: "vocabulary" as const, alpha: 0.5, classes: CLASSES },
    cache: { prompted: new Float32Array() },
    attempts: [{ start, learningRate: 1 }],
    steps: 0,
    averagedSteps: 1,
    batchSize: 1,
    optimizer: ADAM,
    seed: 0,
    state: { path: "never written", settings: {}, resume: false },
  };
  const [graph] = await recordGraphs((engine) => transfer({ ...options, engine }, {}));
  return graph!;
}

/** What a function loads into its engine; a run gives zeros. */
async function recordGraphs(load: (engine: Engine) => Promise<unknown>): Promise<readonly Graph[]> {
  const recorder = new Recorder();
  await load(recorder as unknown as Engine);
  return recorder.graphs;
}

/** Takes an engine's place, and keeps the graphs that it is to load. */
class Recorder implements Pick<Engine, "load" | "set" | "get"> {
  readonly graphs: Graph[] = [];
  readonly #variables = new Map<string, Value>();

  async load(graph: Graph): Promise<Session> {
    this.graphs.push(graph);
    const results = Object.fromEntries(Object.keys(graph.outputs).map((name) => [name, floats([1])]));
    return { run: async () => results, release: async () => {} };
  }

  async set(variables: Readonly<Record<string, Value>>): Promise<void> {
    for (const [name, value] of Object.entries(variables)) this.#variables.set(name, value);
  }

  async get(names: readonly string[]): Promise<Record<string, Value>> {
    return Object.fromEntries(names.map((name) => [name, this.#variables.get(name)!]));
  }
}

function floats(shape: readonly number[]): Value {
  return { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
}
