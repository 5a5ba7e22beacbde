import { fileOrder, shuffled } from "../data/batches.ts";
import { lengthsOf } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { div } from "../graph/operators/elementwise.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { sizes, type Tensor, variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import { seededRandom } from "../protocol/random.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { guardedGradients, SkippedSteps } from "./loss-scale.ts";
import { type Examples, largestSizes, objectiveOf } from "./objective.ts";
import { type Optimizer, optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { prepare } from "./prepare.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import { type ResumableRun, runVariables } from "./variable-run.ts";

/** What tuning needs, private or not. */
export type Tuning = Examples & {
  readonly engine: Engine;
  readonly model: Model;
  /** Where the prompt starts, `[P, D]`. */
  readonly start: Value;
  readonly optimizer: Optimizer;
  readonly learningRate: number;
  /** The prompt is the mean over this many last steps; 1 for the last iterate. */
  readonly averagedSteps: number;
  readonly state: ResumableRun;
};

export interface Tuned {
  /** `[P, D]`. */
  readonly prompt: Value;
  /** Mean loss of the last steps, on the private data: it stays on this machine. */
  readonly loss: number;
}

/** The order of the batches: shuffled anew in every epoch by a seed, or as the file has them. */
export type Order = { readonly kind: "shuffled"; readonly seed: number } | { readonly kind: "file" };

/** Tunes a soft prompt without privacy: the mean loss of a batch's examples, step by step. */
export async function tune(
  tuning: Tuning & { readonly steps: number; readonly batchSize: number; readonly order: Order },
  watch: Watch,
): Promise<Tuned> {
  const { engine, model, examples, start, optimizer, steps, averagedSteps } = tuning;
  const objective = objectiveOf(tuning);
  const prompt = variable("prompt", start.shape);
  const loss = batchMean(objective.losses(model, sharedPrompt(prompt)));
  const { gradients, outputs, guard } = guardedGradients(loss, [prompt], model);
  const step = guard(optimizerStep(optimizer, [{ variable: prompt, gradient: gradients[0]! }]));
  const update = withRunningMean(step, prompt);
  const skipped = new SkippedSteps();
  const largest = largestSizes(objective, Math.min(tuning.batchSize, examples.length));
  const session = await prepare(engine, { outputs: { loss, ...outputs }, updates: update.updates }, largest, watch);
  const batches = new EpochBatches(lengthsOf(examples), tuning.batchSize, tuning.order);
  const mean = await runVariables(
    {
      name: "tuning",
      engine,
      variables: { prompt: start, ...update.initial },
      steps,
      state: tuning.state,
      async step(index) {
        const batch = Array.from(batches.at(index), (example) => examples.at(example)!);
        const rates = {
          ...optimizerFeeds(optimizer, index + 1, tuning.learningRate),
          ...runningMeanFeeds(index + 1, steps, averagedSteps),
        };
        const results = await session.run({ ...objective.feeds(batch), ...rates });
        skipped.see(results);
        return results.loss!.data[0]!;
      },
    },
    watch,
  );
  skipped.tell(watch);
  await session.release();
  return { prompt: (await engine.get([MEAN]))[MEAN]!, loss: mean };
}

/** The mean of `[B]` values, as a scalar. */
export function batchMean(values: Tensor): Tensor {
  return div(reduceSum(values), reshape(cast(sizes(["B"]), "float32"), []));
}

/** The batch of any step: a step's batch depends on nothing but the order and its number. */
export class EpochBatches {
  readonly #lengths: Int32Array;
  readonly #batchSize: number;
  readonly #order: Order;
  #epoch = -1;
  #batches: readonly Int32Array[] = [];

  /** @param lengths tokens of every example */
  constructor(lengths: Int32Array, batchSize: number, order: Order) {
    this.#lengths = lengths;
    this.#batchSize = batchSize;
    this.#order = order;
  }

  /** Indices of the examples of a step counted from 0, `[B]`. */
  at(step: number): Int32Array {
    const perEpoch = Math.ceil(this.#lengths.length / this.#batchSize);
    const epoch = Math.floor(step / perEpoch);
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#batches =
        this.#order.kind === "file"
          ? fileOrder(this.#lengths.length, this.#batchSize)
          : shuffled(this.#lengths, this.#batchSize, seededRandom(this.#order.seed, epoch));
    }
    return this.#batches[step % perEpoch]!;
  }
}
