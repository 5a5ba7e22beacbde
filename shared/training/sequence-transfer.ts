/** The transfer of a prompt whose task's answers are text: student and target are compared at several positions a public text. */
import { lengthsOf } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { add, mul, sub } from "../graph/operators/elementwise.ts";
import { input, type Tensor, variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import type { Answer } from "./answer.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { guardedGradients, SkippedSteps } from "./loss-scale.ts";
import { softKl } from "./losses.ts";
import { largestSizes, objectiveOf } from "./objective.ts";
import { type Optimizer, optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { prepare } from "./prepare.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import { cosineSchedule } from "./schedule.ts";
import { cacheFeeds, offsets, type SequenceCache } from "./sequence-cache.ts";
import { answerHidden, rowMeans, type Sequence, sequenceFeeds } from "./sequences.ts";
import { batchMean, EpochBatches } from "./tune.ts";
import { type ResumableRun, runVariables } from "./variable-run.ts";

/** Part of the steps over which the learning rate rises. */
const WARMUP = 0.05;

export interface SequenceTransfer {
  readonly engine: Engine;
  readonly target: Model;
  readonly sequences: readonly Sequence[];
  readonly cache: SequenceCache;
  /** Where the target's prompt starts, `[P, D]`. */
  readonly start: Value;
  readonly alpha: number;
  readonly steps: number;
  /** The prompt is the mean over this many last steps. */
  readonly averagedSteps: number;
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly learningRate: number;
  readonly seed: number;
  readonly state: ResumableRun;
}

/**
 * A public text as it is compared: behind the question, at every token of the student's answer and where it ended, or at the first
 * position only.
 * @param answer the student's, undefined for the first position
 */
export function comparedSequence(question: Int32Array, answer: Answer | undefined): Sequence {
  // The last token is a label only, which nothing reads: any token ends an answer.
  const tail = !answer ? [0] : answer.finish === "stop" ? [...answer.ids, 0] : answer.ids;
  const ids = new Int32Array(question.length + tail.length);
  ids.set(question);
  ids.set(tail, question.length);
  return { ids, start: question.length, readAt: question.length - 1 };
}

/**
 * Finds the target's prompt that makes it go on, behind public texts, as the student does with its prompt (Kim and Rush 2016, section 3,
 * on whole distributions). A step is one forward and backward pass of the target. It ends after a fixed number of steps.
 * @returns the prompt `[P, D]` and the mean public loss of the last steps
 * @throws InterruptedError when stopped, after the state was saved
 */
export async function transferSequences(
  options: SequenceTransfer,
  watch: Watch,
): Promise<{ readonly prompt: Value; readonly loss: number }> {
  const { engine, target, sequences, cache, start, alpha, optimizer, steps, averagedSteps } = options;
  const prompt = variable("prompt", start.shape);
  const loss = sequenceTransferLoss(target, sharedPrompt(prompt), alpha);
  const { gradients, outputs, guard } = guardedGradients(loss, [prompt], target);
  const update = withRunningMean(
    guard(optimizerStep(optimizer, [{ variable: prompt, gradient: gradients[0]! }])),
    prompt,
  );
  const skipped = new SkippedSteps();
  const lengths = lengthsOf(sequences);
  const largest = largestSizes(objectiveOf({ examples: sequences }), Math.min(options.batchSize, sequences.length));
  const session = await prepare(engine, { outputs: { loss, ...outputs }, updates: update.updates }, largest, watch);
  const batches = new EpochBatches(lengths, options.batchSize, { kind: "shuffled", seed: options.seed });
  const starts = offsets(sequences);
  const mean = await runVariables(
    {
      name: "transferring",
      engine,
      steps,
      state: options.state,
      variables: { prompt: start, ...update.initial },
      async step(index) {
        const picked = batches.at(index);
        const { labels: _, ...feeds } = sequenceFeeds(Array.from(picked, (text) => sequences[text]!));
        const rate = cosineSchedule(index, steps, options.learningRate, WARMUP);
        const result = await session.run({
          ...feeds,
          ...cacheFeeds(cache, starts, target.config.width, picked),
          ...optimizerFeeds(optimizer, index + 1, rate),
          ...runningMeanFeeds(index + 1, steps, averagedSteps),
        });
        skipped.see(result);
        return result.loss!.data[0]!;
      },
    },
    watch,
  );
  skipped.tell(watch);
  await session.release();
  return { prompt: (await engine.get([MEAN]))[MEAN]!, loss: mean };
}

/**
 * The mean over a batch's texts of the mean over each one's positions of (1 − α) times how far the prompted target is from the prompted
 * student, plus α times how differently the prompts move them (POST, equations 3 to 5).
 */
function sequenceTransferLoss(target: Model, prompt: Tensor, alpha: number): Tensor {
  const cached = (name: string) => target.logits(input(`cached.${name}`, "float32", ["N", target.config.width]));
  const actual = target.logits(answerHidden(target, prompt));
  const prompted = cached("prompted");
  const imitation = softKl(prompted, actual);
  if (alpha === 0) return batchMean(rowMeans(imitation));
  const movement = softKl(sub(prompted, cached("student")), sub(actual, cached("target")));
  return batchMean(rowMeans(add(mul(imitation, 1 - alpha), mul(movement, alpha))));
}
