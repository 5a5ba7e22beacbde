import type { Engine, Value } from "../graph/engine.ts";
import { input, variable } from "../graph/tensor.ts";
import { addNoise, GRID_UNITS_PER_CLIP } from "../privacy/noise.ts";
import type { PrivacyPlan } from "../privacy/plan.ts";
import { poissonSample, poissonSampleOfUnits } from "../privacy/sampler.ts";
import { unitText } from "../privacy/unit.ts";
import { ProblemError } from "../protocol/errors.ts";
import { cryptoRandom, Draws, type RandomSource } from "../protocol/random.ts";
import { ClippedSums } from "./clipped-sums.ts";
import type { Watch } from "./events.ts";
import { invariantSums, notInvariant, spotCheck } from "./invariance.ts";
import { optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { rowsAtOnce } from "./record-chunks.ts";
import { removeRun } from "./run-state.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import type { Tuned, Tuning } from "./tune.ts";
import { unitSum } from "./unit-sums.ts";
import { runVariables } from "./variable-run.ts";

export interface DpTuned extends Tuned {
  /** Gradients over all steps that were not finite (or, by rounding, too long) and so were counted as zero. */
  readonly leftOut: number;
}

/**
 * Tunes a soft prompt with DP-SGD (Abadi et al. 2016, algorithm 1): Poisson sampling, each example's gradient `[P, D]` clipped
 * to norm C and put on an integer grid, summed exactly, discrete Gaussian noise of σ·C, divided by the fixed expected batch
 * size. An empty sample is a step like any other. Adam's second moment is freed of the noise's variance, and the result is a mean of the last iterates: both are
 * post-processing of what DP-SGD releases. All numbers of the mechanism come from the plan.
 * Where the plan's unit has several rows, a step draws units, each of which counts with the mean gradient of its drawn rows (user-wise DP-SGD: Chua et al.
 * 2024, arXiv 2406.14322); "example" then means one unit.
 * @param tuning.units the rows of each unit, ascending, if the plan has a unit
 * @param tuning.rows how many examples' gradients are held at once: it changes memory and speed, not the result
 * @param tuning.random a cryptographic generator, unless the result claims no privacy
 * @param tuning.charge is called when all is ready and nothing of the data has had an effect, before the first step
 * @throws ProblemError if the plan is for another number of examples, or a record's gradient depends on its company; in a run that
 *   was charged, its state is deleted then
 */
export async function dpTune(
  tuning: Tuning & {
    readonly plan: PrivacyPlan;
    readonly random: RandomSource;
    readonly rows?: number | undefined;
    readonly units?: readonly (readonly number[])[] | undefined;
    readonly charge?: (() => Promise<void>) | undefined;
  },
  watch: Watch,
): Promise<DpTuned> {
  const { engine, examples, start, optimizer, averagedSteps, plan, random, rows = rowsAtOnce(plan.batchSize) } = tuning;
  const { units } = tuning;
  const records = units?.length ?? examples.length;
  if (plan.records !== records || (plan.unit === undefined) !== (units === undefined)) {
    const detail = `the plan is for ${plan.records} of: ${unitText(plan.unit)}, the data has ${records}`;
    throw new ProblemError("The privacy plan does not fit the data", detail);
  }
  const prompt = variable("prompt", start.shape);
  const sums = await ClippedSums.load({ ...tuning, clip: plan.clip, apart: hasSeveralRows(units, plan) }, rows, watch);
  const gradient = input("gradient", "float32", start.shape);
  const freed = { ...optimizer, noiseVariance: ((plan.noiseMultiplier * plan.clip) / plan.batchSize) ** 2 };
  const update = withRunningMean(optimizerStep(freed, [{ variable: prompt, gradient }]), prompt);
  const updateSession = await engine.load({ outputs: {}, updates: update.updates });

  await engine.set({ prompt: start });
  const looks = new Draws(cryptoRandom);
  const invariant = await invariantSums(sums, looks, watch);
  await tuning.charge?.();

  const loss = await runVariables(
    {
      name: "tuning with privacy",
      engine,
      steps: plan.steps,
      state: tuning.state,
      variables: { prompt: start, ...update.initial, [LEFT_OUT]: { shape: [1], data: new Float32Array(1) } },
      async step(index) {
        const drawn = units && poissonSampleOfUnits(units, plan.batchSize, plan.unit!.rowsPerUnit, random);
        const sample = drawn ? drawn.flatMap((rows) => [...rows]) : poissonSample(plan.records, plan.batchSize, random);
        const chunks = invariant.chunksOf(sample);
        const part = drawn ? await unitSum(invariant, drawn, plan.clip) : await invariant.sampleSum(chunks);
        if (!(await spotCheck(invariant, chunks, looks))) {
          await removeRun(tuning.state.path);
          const charged = tuning.charge ? " The data were charged for it." : "";
          throw notInvariant(`The run ends after ${index} steps, and nothing of it is released.${charged}`);
        }
        if (part.leftOut > 0) await countLeftOut(engine, part.leftOut);
        const unit = plan.clip / GRID_UNITS_PER_CLIP / plan.batchSize;
        const noised = addNoise(part.sum, plan.noiseMultiplier, random);
        const mean: Value = { shape: start.shape, data: Float32Array.from(noised, (value) => value * unit) };
        await updateSession.run({
          gradient: mean,
          ...optimizerFeeds(optimizer, index + 1, tuning.learningRate),
          ...runningMeanFeeds(index + 1, plan.steps, averagedSteps),
        });
        return part.losses / Math.max(1, sample.length);
      },
    },
    watch,
  );
  await sums.release();
  return { prompt: (await engine.get([MEAN]))[MEAN]!, loss, leftOut: await leftOutOf(engine) };
}

/** A variable of the run that no graph knows: the state of the run has it. */
const LEFT_OUT = "left-out";

async function countLeftOut(engine: Engine, more: number): Promise<void> {
  await engine.set({ [LEFT_OUT]: { shape: [1], data: Float32Array.of((await leftOutOf(engine)) + more) } });
}

async function leftOutOf(engine: Engine): Promise<number> {
  return (await engine.get([LEFT_OUT]))[LEFT_OUT]!.data[0]!;
}

/** Whether a step may take several rows of one unit. */
function hasSeveralRows(units: readonly (readonly number[])[] | undefined, plan: PrivacyPlan): boolean {
  return units !== undefined && plan.unit!.rowsPerUnit > 1 && units.some((rows) => rows.length > 1);
}
