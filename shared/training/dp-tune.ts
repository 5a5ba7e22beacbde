import type { Value } from "../graph/engine.ts";
import { div, lessOrEqual, minimum, mul, sqrt, where } from "../graph/operators/elementwise.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../graph/shape.ts";
import { constant, input, integers, type Tensor, variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import { addNoise, GRID_UNITS_PER_CLIP } from "../privacy/noise.ts";
import type { PrivacyPlan } from "../privacy/plan.ts";
import { poissonSample } from "../privacy/sampler.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { RandomSource } from "../protocol/random.ts";
import type { Watch } from "./events.ts";
import { promptGradients } from "./loss-scale.ts";
import { type Examples, objectiveOf } from "./objective.ts";
import { optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { prepare } from "./prepare.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import type { Tuned, Tuning } from "./tune.ts";
import { runVariables } from "./variable-run.ts";

/** Examples whose gradients are held at once, unless told. */
const PHYSICAL_BATCH = 32;
/** The largest finite float32: what is above, or not a number, is no gradient. */
const LARGEST = 3.4028234663852886e38;
/** Clipping aims a little below the clip norm, so that float32 rounding does not pass it; what still does is left out. */
const ROUNDING_MARGIN = 1e-4;

export interface DpTuned extends Tuned {
  /** Gradients over all steps that were not finite (or, by rounding, too long) and so were counted as zero. */
  readonly leftOut: number;
}

/**
 * Tunes a soft prompt with DP-SGD (Abadi et al. 2016, algorithm 1): Poisson sampling, each example's gradient `[P, D]` clipped
 * to norm C and put on an integer grid, summed exactly, discrete Gaussian noise of σ·C, divided by the fixed expected batch
 * size. An empty sample is a step like any other. A mean of the last iterates is post-processing of
 * what DP-SGD releases. All numbers of the mechanism come from the plan.
 * @param tuning.physicalBatch how many examples' gradients are held at once: it changes memory and speed, not the result
 * @param tuning.random a cryptographic generator, unless the result claims no privacy
 * @throws ProblemError if the plan is for another number of examples
 */
export async function dpTune(
  tuning: Tuning & {
    readonly plan: PrivacyPlan;
    readonly random: RandomSource;
    readonly physicalBatch?: number | undefined;
  },
  watch: Watch,
): Promise<DpTuned> {
  const { engine, examples, start, optimizer, averagedSteps, plan, random, physicalBatch = PHYSICAL_BATCH } = tuning;
  if (plan.records !== examples.length) {
    const detail = `the plan is for ${plan.records} records, the data has ${examples.length}`;
    throw new ProblemError("The privacy plan does not fit the data", detail);
  }
  const prompt = variable("prompt", start.shape);
  const objective = objectiveOf(tuning);
  const largest = objective.largest(Math.min(physicalBatch, examples.length));
  const sumSession = await prepare(engine, { outputs: clippedSum(tuning, prompt) }, largest, watch);
  const gradient = input("gradient", "float32", start.shape);
  const update = withRunningMean(optimizerStep(optimizer, [{ variable: prompt, gradient }]), prompt);
  const updateSession = await engine.load({ outputs: {}, updates: update.updates });

  let leftOut = 0;
  const loss = await runVariables(
    {
      ...{ name: "tuning with privacy", engine, steps: plan.steps, state: tuning.state },
      variables: { prompt: start, ...update.initial },
      async step(index) {
        const sample = poissonSample(plan.records, plan.batchSize, random);
        const total = new Float64Array(start.data.length);
        let losses = 0;
        for (let from = 0; from < sample.length; from += physicalBatch) {
          const records = sample.subarray(from, from + physicalBatch);
          const clip = { shape: [], data: Float32Array.of(plan.clip) };
          const part = await sumSession.run({ ...objective.feeds(records), clip });
          part.sum!.data.forEach((value, i) => {
            total[i]! += value;
          });
          losses += part.losses!.data[0]!;
          leftOut += records.length - part.used!.data[0]!;
        }
        const unit = plan.clip / GRID_UNITS_PER_CLIP / plan.batchSize;
        const noised = addNoise(total, plan.noiseMultiplier, random);
        const mean: Value = { shape: start.shape, data: Float32Array.from(noised, (value) => value * unit) };
        await updateSession.run({
          gradient: mean,
          ...optimizerFeeds(optimizer, index + 1, tuning.learningRate),
          ...runningMeanFeeds(index + 1, plan.steps, averagedSteps),
        });
        return losses / Math.max(1, sample.length);
      },
    },
    watch,
  );
  await sumSession.release();
  return { prompt: (await engine.get([MEAN]))[MEAN]!, loss, leftOut };
}

/**
 * The sum of clipped per-example gradients, in whole grid units of clip / {@link GRID_UNITS_PER_CLIP}.
 * Every example's part is a vector of whole numbers of norm at most GRID_UNITS_PER_CLIP, checked in exact arithmetic.
 * @returns `sum` int32 `[P, D]`, `used` the number of examples in it, `losses` the sum of the losses
 */
export function clippedSum(
  tuning: Examples & { readonly model: Model },
  prompt: Tensor,
): Record<"sum" | "used" | "losses", Tensor> {
  const [P, D] = prompt.shape as readonly [number, number];
  const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
  const losses = reduceSum(objectiveOf(tuning).losses(tuning.model, apart));
  const all = reshape(promptGradients(losses, [apart], tuning.model)[0]!, ["B", P * D]);

  const squares = reduceSum(mul(all, all), [-1], true);
  const finite = lessOrEqual(squares, constant(LARGEST));
  const gradient = where(finite, all, constant(0));
  const norm = sqrt(where(finite, squares, constant(0)));
  const scale = div(constant(GRID_UNITS_PER_CLIP), input("clip", "float32", []));
  const limit = div(constant(GRID_UNITS_PER_CLIP * (1 - ROUNDING_MARGIN)), norm);
  const whole = cast(mul(gradient, minimum(limit, scale)), "int32");

  const exact = cast(whole, "int64");
  const fits = lessOrEqual(reduceSum(mul(exact, exact), [-1], true), integers([GRID_UNITS_PER_CLIP ** 2]));
  const kept = where(fits, whole, cast(integers(0), "int32"));
  const used = mul(cast(finite, "int32"), cast(fits, "int32"));
  return { sum: reshape(reduceSum(kept, [0]), [P, D]), used: reduceSum(used), losses };
}
