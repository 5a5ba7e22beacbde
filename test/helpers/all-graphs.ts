import type { Engine, Graph, Session, Value } from "../../shared/graph/engine.ts";
import { type Checkpoint, frozenWeights } from "../../shared/models/checkpoint.ts";
import type { Precision } from "../../shared/models/model.ts";
import type { PrivacyPlan } from "../../shared/privacy/plan.ts";
import { LOSSES } from "../../shared/protocol/manifest.ts";
import { seededRandom } from "../../shared/protocol/random.ts";
import { distill } from "../../shared/training/distill.ts";
import { dpTune } from "../../shared/training/dp-tune.ts";
import { predict } from "../../shared/training/evaluate.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import { ADAM, type Optimizer } from "../../shared/training/optimizers.ts";
import { pretrain } from "../../shared/training/pretrain.ts";
import { readScores, readStates, transfer } from "../../shared/training/transfer.ts";

import { tune } from "../../shared/training/tune.ts";

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

/**
 * Every graph that training and evaluation load for a checkpoint, under the name of what loads it. The functions themselves
 * build them, for runs of no steps, with an engine that only keeps what it is given.
 * @param precision of the frozen weights; weights are only trained in float32
 */
export async function allGraphs(
  checkpoint: Checkpoint,
  precision: Precision,
): Promise<readonly { name: string; graph: Graph }[]> {
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
  const graphs: { name: string; graph: Graph }[] = [];
  const record = async (name: string, load: (engine: Engine) => Promise<unknown>) => {
    const recorder = new Recorder();
    await load(recorder as unknown as Engine);
    graphs.push(...recorder.graphs.map((graph) => ({ name, graph })));
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
