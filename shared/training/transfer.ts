import { makeBatch } from "../data/batches.ts";
import { lengthsOf, type Rows } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { input, variable } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { guardedGradients, SkippedSteps } from "./loss-scale.ts";
import { classScores } from "./losses.ts";
import { type Optimizer, optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { longest, prepare } from "./prepare.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import { cosineSchedule } from "./schedule.ts";
import { type EncodedText, mapTexts, ROWS_AT_ONCE, textFeeds, textInputs } from "./texts.ts";
import { cacheFeeds, type TransferCache, type TransferCriterion, transferStepLoss } from "./transfer-loss.ts";
import { EpochBatches } from "./tune.ts";
import { lossesOfRun, type ResumableRun, reportedLoss } from "./variable-run.ts";

/** Part of the steps over which the learning rate rises. */
const WARMUP = 0.05;

/** Where a transfer starts and how fast it goes; the provider may try several. */
export interface Attempt {
  /** The target's first prompt, `[P, D]`. */
  readonly start: Value;
  /** Peak of the learning rate. */
  readonly learningRate: number;
}

export interface Transfer {
  readonly engine: Engine;
  readonly target: Model;
  /** All public texts, as the target reads them, and which of them the prompt is fitted to. */
  readonly texts: Rows<EncodedText>;
  readonly fitted: Int32Array;
  readonly criterion: TransferCriterion;
  /** Rows of all public texts. */
  readonly cache: TransferCache;
  readonly attempts: readonly Attempt[];
  /** Steps of each attempt. */
  readonly steps: number;
  /** The prompt is the mean over this many last steps. */
  readonly averagedSteps: number;
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly seed: number;
  readonly state: ResumableRun;
}

/** What never changes while a prompt is tuned: final hidden states at the read position of every text, `[N, D]`. */
export async function readStates(
  engine: Engine,
  model: Model,
  texts: Rows<EncodedText>,
  name: string,
  watch: Watch,
  prompt?: Value,
): Promise<Float32Array> {
  const result = await promptedHidden(engine, model, prompt);
  return (await mapTexts(engine, name, { result }, texts, watch)).data;
}

/** The class scores of every text, `[N, K]`: of a model, with a prompt `[P, D]` or without. */
export async function readScores(
  engine: Engine,
  model: Model,
  classes: readonly ArrayLike<number>[],
  texts: Rows<EncodedText>,
  name: string,
  watch: Watch,
  prompt?: Value,
): Promise<Float32Array> {
  const result = classScores(model, await promptedHidden(engine, model, prompt), classes);
  return (await mapTexts(engine, name, { result }, texts, watch)).data;
}

async function promptedHidden(engine: Engine, model: Model, prompt?: Value) {
  if (prompt) await engine.set({ "read.prompt": prompt });
  return readHidden(model, textInputs(), prompt && sharedPrompt(variable("read.prompt", prompt.shape)));
}

/** The class scores `[N, K]` of final hidden states `[N, D]` that were read before. */
export async function scoresOfStates(
  engine: Engine,
  model: Model,
  classes: readonly ArrayLike<number>[],
  states: Float32Array,
): Promise<Float32Array> {
  const { width } = model.config;
  const result = classScores(model, input("states", "float32", ["B", width]), classes);
  const session = await engine.load({ outputs: { result } });
  const data = new Float32Array((states.length / width) * classes.length);
  for (let at = 0; at < states.length; at += width * ROWS_AT_ONCE) {
    const some = states.subarray(at, at + width * ROWS_AT_ONCE);
    const { result: scores } = await session.run({ states: { shape: [some.length / width, width], data: some } });
    data.set(scores!.data as Float32Array, (at / width) * classes.length);
  }
  await session.release();
  return data;
}

/**
 * Finds prompts of the target that make it behave, on public texts, as the student does with its prompt: one an attempt. A step is
 * one forward and backward pass of the target: everything else is in the cache. The learning rate rises, then falls along a cosine,
 * and a prompt is the mean over the last steps. An attempt ends after a fixed number of steps.
 * @returns a prompt `[P, D]` an attempt, and the mean loss of its last steps
 * @throws InterruptedError when stopped, after the state was saved
 */
export async function transfer(
  options: Transfer,
  watch: Watch,
): Promise<{ readonly prompts: readonly Value[]; readonly losses: readonly number[] }> {
  const { engine, target, criterion, cache, attempts, optimizer, steps, averagedSteps } = options;
  const { shape } = attempts[0]!.start;
  const prompt = variable("prompt", shape);
  const loss = transferStepLoss(target, criterion, sharedPrompt(prompt));
  const { gradients, outputs, guard } = guardedGradients(loss, [prompt], target);
  const move = guard(optimizerStep(optimizer, [{ variable: prompt, gradient: gradients[0]! }]));
  const update = withRunningMean(move, prompt);
  const skipped = new SkippedSteps();
  const all = lengthsOf(options.texts);
  const lengths = options.fitted.map((text) => all[text]!);
  const largest = { B: Math.min(options.batchSize, lengths.length), T: longest(lengths) };
  const session = await prepare(engine, { outputs: { loss, ...outputs }, updates: update.updates }, largest, watch);
  const batches = new EpochBatches(lengths, options.batchSize, { kind: "shuffled", seed: options.seed });
  const width = cache.prompted.length / options.texts.length;
  const first = (attempt: number) => ({ prompt: attempts[attempt]!.start, ...update.initial });
  // The finished prompts are variables too, so that the state of the run has them.
  const finished = attempts.map((_, attempt) => `finished.${attempt}`);
  const empty = Object.fromEntries(finished.map((name, attempt) => [name, attempts[attempt]!.start]));
  const losses = await lossesOfRun(
    {
      name: "transferring",
      engine,
      steps: steps * attempts.length,
      state: options.state,
      variables: { ...first(0), ...empty },
      async step(index) {
        const [attempt, step] = [Math.floor(index / steps), index % steps];
        if (step === 0) await engine.set(first(attempt));
        const texts = batches.at(step).map((example) => options.fitted[example]!);
        const rate = cosineSchedule(step, steps, attempts[attempt]!.learningRate, WARMUP);
        const result = await session.run({
          ...textFeeds(makeBatch(options.texts, texts)),
          ...cacheFeeds(cache, width, texts),
          ...optimizerFeeds(optimizer, step + 1, rate),
          ...runningMeanFeeds(step + 1, steps, averagedSteps),
        });
        skipped.see(result);
        if (step < steps - 1) return result.loss!.data[0]!;
        // The next attempt begins with a scale and a count of its own.
        skipped.tell(watch);
        await engine.set({ [finished[attempt]!]: (await engine.get([MEAN]))[MEAN]! });
        return result.loss!.data[0]!;
      },
    },
    watch,
  );
  await session.release();
  const prompts = await engine.get(finished);
  return {
    prompts: finished.map((name) => prompts[name]!),
    losses: attempts.map((_, attempt) => reportedLoss(losses.subarray(attempt * steps, (attempt + 1) * steps))),
  };
}

/**
 * The α that POST's heuristic chooses (appendix, table 20): how much of the student's skill the target has already.
 * @param zeroShot the target's accuracy without a prompt
 * @param student the student's accuracy with its prompt
 * @param classes number of classes, whose inverse is the accuracy of guessing
 */
export function chooseAlpha(zeroShot: number, student: number, classes: number): number {
  const guessing = 1 / classes;
  if (student <= guessing) return 0;
  return Math.max(0, Math.min((zeroShot - guessing) / (student - guessing), 1));
}
