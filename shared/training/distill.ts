import type { Tokens } from "../data/token-stream.ts";
import type { MaskTokens } from "../data/tokenizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { constant, type Tensor, variable } from "../graph/tensor.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import type { Model } from "../models/model.ts";
import { frozenWeights, readWeight } from "../models/weights.ts";
import { ProblemError } from "../protocol/errors.ts";
import { distillLoss, measuredLanguageLoss } from "./distill-loss.ts";
import type { Watch } from "./events.ts";
import type { LanguageRows } from "./language-batches.ts";
import { languageInputs, languageOutputs, languageRows } from "./language-rows.ts";
import { InterruptedError } from "./loop.ts";
import type { Optimizer } from "./optimizers.ts";
import type { ResumableRun } from "./variable-run.ts";
import { trainWeights } from "./weight-training.ts";

/** As DistilBERT's and POST's distillation (design: The methods, exactly). */
export const DISTILL_OPTIMIZER: Optimizer = { name: "adamw", betas: [0.9, 0.98], epsilon: 1e-6, weightDecay: 0 };
const WARMUP = 0.05;
export const DISTILL_CLIP = 5;

export interface Distillation {
  readonly engine: Engine;
  readonly teacher: Checkpoint;
  /** Which of the teacher's layers the student starts from, in this order. */
  readonly layers: readonly number[];
  readonly tokens: Tokens;
  /** What a masked model's training needs. */
  readonly mask?: MaskTokens | undefined;
  readonly steps: number;
  readonly batchSize: number;
  /** Tokens a row. */
  readonly length: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly state: ResumableRun;
}

export interface Distillate {
  /** Mean loss of the last steps: how far the student is from imitating, not comparable with a language model's. */
  readonly loss: number;
  /** What both lose on the same rows of the corpus, in nats a token. */
  readonly nextToken: { readonly target: number; readonly student: number };
  /** config.json of the student. */
  readonly json: Readonly<Record<string, unknown>>;
  /** All weights of the student. */
  readonly weights: Readonly<Record<string, Value>>;
}

/**
 * Makes a student of some of a teacher's layers and trains it to imitate the teacher on public text. Embeddings and head are
 * the teacher's and stay so: that is what lets a prompt be transferred.
 * @throws InterruptedError when stopped, after the state was saved
 */
export async function distill(options: Distillation, watch: Watch): Promise<Distillate> {
  const { engine, teacher, batchSize, length } = options;
  const student = studentOf(teacher, resolveLayers(options.layers, teacher.config.layers));
  const { ids, targets } = languageInputs(options);
  const real = constant(new Array(batchSize * length).fill(1));
  const outputs = {
    target: languageOutputs(teacher.family.build(teacher.config, frozenWeights(teacher)), ids),
    student: languageOutputs(student.model, ids),
  };
  const loss = distillLoss(outputs.target, outputs.student, { ...targets, real });
  const weights = await Promise.all(
    [...student.trained].map(async ([name, tensor]) => ({
      variable: tensor,
      value: { shape: tensor.shape as number[], data: await readWeight(teacher, student.origin(name)) },
      decay: false,
    })),
  );
  const rows = languageRows(student.model.kind, options.tokens, options, options.mask);
  const training = {
    name: "distilling",
    rows,
    loss,
    weights,
    optimizer: DISTILL_OPTIMIZER,
    warmup: WARMUP,
    clip: DISTILL_CLIP,
  };
  const result = await trainWeights({ ...options, ...training }, watch);
  const losses = {
    target: measuredLanguageLoss(outputs.target, targets),
    student: measuredLanguageLoss(outputs.student, targets),
  };
  const nextToken = await compareLosses(engine, losses, rows, watch);
  const copied: Record<string, Value> = {};
  for (const name of teacher.family.embeddings(teacher.config)) {
    copied[name] = { shape: teacher.family.parameters(teacher.config)[name]!, data: await readWeight(teacher, name) };
  }
  return {
    ...result,
    nextToken,
    json: student.json,
    weights: { ...copied, ...(await engine.get([...student.trained.keys()])) },
  };
}

/** Batches on which target and student are compared at the end. */
const COMPARED = 8;

async function compareLosses(
  engine: Engine,
  losses: { readonly target: Tensor; readonly student: Tensor },
  rows: LanguageRows,
  { signal, onEvent }: Watch,
): Promise<Distillate["nextToken"]> {
  const session = await engine.load({ outputs: losses });
  onEvent?.({ kind: "phase", name: "comparing", total: COMPARED, unit: "steps" });
  let [target, student] = [0, 0];
  for (let i = 0; i < COMPARED; i++) {
    if (signal?.aborted) throw new InterruptedError(0);
    const result = await session.run(rows.batch(i));
    target += result.target!.data[0]! / COMPARED;
    student += result.student!.data[0]! / COMPARED;
    onEvent?.({ kind: "progress", done: i + 1 });
  }
  await session.release();
  return { target, student };
}

/** A student before its training: its layers are variables that start from the teacher's. */
export interface Student {
  readonly model: Model;
  readonly json: Readonly<Record<string, unknown>>;
  /** What is trained, by the student's names. */
  readonly trained: ReadonlyMap<string, Tensor>;
  /** The teacher's name of a student's weight. */
  origin(name: string): string;
}

/** @param layers indices of the teacher's layers, from 0 */
export function studentOf(teacher: Checkpoint, layers: readonly number[]): Student {
  const { family } = teacher;
  const json = family.withLayers({ ...teacher.json, dtype: "float32" }, layers);
  delete json.torch_dtype;
  const config = family.configure(json);
  const copied = family.embeddings(config);
  const frozen = frozenWeights(teacher);
  const trained = new Map(
    Object.entries(family.parameters(config))
      .filter(([name]) => !copied.includes(name))
      .map(([name, shape]) => [name, variable(name, shape)]),
  );
  const model = family.build(config, (name) => trained.get(name) ?? frozen(name));
  const origin = (name: string) => {
    const parts = family.layerOf(name);
    return parts ? `${parts[1]}${layers[Number(parts[2])]}${parts[3]}` : name;
  };
  return { model, json, trained, origin };
}

/** Indices from 0, negative ones counted from the end. */
function resolveLayers(layers: readonly number[], count: number): number[] {
  const resolved = layers.map((layer) => (layer < 0 ? layer + count : layer));
  const outside = layers.filter((_, i) => !(resolved[i]! >= 0 && resolved[i]! < count));
  const twice = layers.filter((_, i) => resolved.indexOf(resolved[i]!) !== i);
  if (outside.length > 0 || twice.length > 0) {
    const faults = [
      ...outside.map((layer) => ({ at: "--layers", message: `there is no layer ${layer}: the target has ${count}` })),
      ...twice.map((layer) => ({ at: "--layers", message: `layer ${layer} is named twice` })),
    ];
    throw new ProblemError("The student can't be made", "The layers do not fit the target.", { faults });
  }
  return resolved;
}
