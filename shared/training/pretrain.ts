import type { Tokens } from "../data/token-stream.ts";
import type { MaskTokens } from "../data/tokenizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { type Tensor, variable } from "../graph/tensor.ts";
import type { Family, ModelConfig } from "../models/model.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import type { Watch } from "./events.ts";
import { languageInputs, languageOutputs, languageRows } from "./language-rows.ts";
import { languageLoss } from "./losses.ts";
import type { Optimizer } from "./optimizers.ts";
import type { ResumableRun } from "./variable-run.ts";
import { trainWeights } from "./weight-training.ts";

const ADAMW: Optimizer = { name: "adamw", betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 };
/** Deviation of GPT-2's first weights (Radford et al. 2019), and part of the steps that warm up. */
const INITIAL_DEVIATION = 0.02;
const WARMUP = 0.05;
/** The matrices of the families that write to the residual stream. */
const RESIDUAL = /(c_proj|o_proj|down_proj|output\.dense)\.weight$/;
const CLIP = 1;

export interface PretrainOptions {
  readonly engine: Engine;
  readonly family: Family;
  readonly config: ModelConfig;
  readonly tokens: Tokens;
  /** Tokens that are not trained on, at least one batch of them. */
  readonly heldOut: Tokens;
  /** What a masked model's training needs. */
  readonly mask?: MaskTokens | undefined;
  readonly steps: number;
  readonly batchSize: number;
  readonly length: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly state: ResumableRun;
}

export interface Pretrained {
  /** Mean loss of the last steps, in nats a token. */
  readonly loss: number;
  /** Loss on the held-out tokens, in nats a token. */
  readonly heldOutLoss: number;
  readonly weights: Readonly<Record<string, Value>>;
}

/** Trains a small language model from random weights with AdamW. */
export async function pretrain(options: PretrainOptions, watch: Watch): Promise<Pretrained> {
  const { engine, family, config, batchSize, length } = options;
  const variables = new Map<string, Tensor>();
  for (const [name, shape] of Object.entries(family.parameters(config))) variables.set(name, variable(name, shape));
  const model = family.build(config, (name) => variables.get(name)!);
  const { ids, targets } = languageInputs(options);
  const loss = languageLoss(languageOutputs(model, ids), targets);
  const first = initialWeights(family, config, options.seed);
  const trained = await trainWeights(
    {
      ...options,
      name: "pretraining",
      rows: languageRows(model.kind, options.tokens, options, options.mask),
      loss,
      weights: [...variables].map(([name, v]) => ({ variable: v, value: first[name]!, decay: v.shape.length > 1 })),
      optimizer: ADAMW,
      warmup: WARMUP,
      clip: CLIP,
    },
    watch,
  );
  const held = languageRows(model.kind, options.heldOut, { length, batchSize, seed: 0 }, options.mask);
  const evaluate = await engine.load({ outputs: { loss } });
  const batches = Math.max(1, Math.floor(held.count / batchSize));
  let total = 0;
  for (let i = 0; i < batches; i++) total += (await evaluate.run(held.batch(i))).loss!.data[0]!;
  return { ...trained, heldOutLoss: total / batches, weights: await engine.get([...variables.keys()]) };
}

/** GPT-2's first weights: matrices normal, those that write to the residual stream smaller, norms 1, biases 0. */
function initialWeights(family: Family, config: ModelConfig, seed: number): Record<string, Value> {
  const weights: Record<string, Value> = {};
  for (const [index, [name, shape]] of Object.entries(family.parameters(config)).entries()) {
    const count = shape.reduce((a, b) => a * b, 1);
    const data = new Float32Array(count);
    if (shape.length > 1) {
      const deviation = INITIAL_DEVIATION / (RESIDUAL.test(name) ? Math.sqrt(2 * config.layers) : 1);
      const draws = new Draws(seededRandom(seed, 1, index));
      for (let i = 0; i < count; i++) data[i] = deviation * normal(draws);
    } else if (name.endsWith("weight")) data.fill(1);
    weights[name] = { shape, data };
  }
  return weights;
}

/** A standard normal draw (Box and Muller 1958). */
function normal(draws: Draws): number {
  return Math.sqrt(-2 * Math.log(1 - draws.uniform53())) * Math.cos(2 * Math.PI * draws.uniform53());
}
