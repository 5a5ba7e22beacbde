/** The transfer of a prompt whose task's answers are text: student and target are compared at several positions a public text. */
import { lengthsOf } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { add, mul, sub } from "../graph/operators/elementwise.ts";
import { input, type Tensor, variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import type { Answer } from "./answer.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { InterruptedError } from "./loop.ts";
import { guardedGradients, SkippedSteps } from "./loss-scale.ts";
import { softKl } from "./losses.ts";
import { type Optimizer, optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { longest, prepare } from "./prepare.ts";
import { MEAN, runningMeanFeeds, withRunningMean } from "./running-mean.ts";
import { cosineSchedule } from "./schedule.ts";
import { answerHidden, answerLength, rowMeans, type Sequence, sequenceFeeds } from "./sequences.ts";
import { ROWS_AT_ONCE } from "./texts.ts";
import { batchMean, EpochBatches } from "./tune.ts";
import { type ResumableRun, runVariables } from "./variable-run.ts";

/** Part of the steps over which the learning rate rises. */
const WARMUP = 0.05;

/**
 * Final hidden states at the compared positions of every public text, one text behind the other, `[sum of lengths, D]` each. The last two
 * are there if the movement term has a weight.
 */
export interface SequenceCache {
  readonly prompted: Float32Array;
  readonly student?: Float32Array | undefined;
  readonly target?: Float32Array | undefined;
}

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

/** The compared positions' hidden states that never change, `[sum of lengths, D]`: of a model, with a prompt or without. */
export async function readSequences(
  engine: Engine,
  model: Model,
  sequences: readonly Sequence[],
  name: string,
  { signal, onEvent }: Watch,
  prompt?: Value,
): Promise<Float32Array> {
  if (prompt) await engine.set({ "read.prompt": prompt });
  const hidden = answerHidden(model, prompt && sharedPrompt(variable("read.prompt", prompt.shape)));
  const session = await engine.load({ outputs: { hidden } });
  const { width } = model.config;
  const starts = offsets(sequences);
  const data = new Float32Array(starts.at(-1)! * width);
  onEvent?.({ kind: "phase", name, total: sequences.length, unit: "texts" });
  for (let from = 0; from < sequences.length; from += ROWS_AT_ONCE) {
    if (signal?.aborted) throw new InterruptedError(0);
    const { ids, read, answers } = sequenceFeeds(sequences.slice(from, from + ROWS_AT_ONCE));
    const result = await session.run({ ids: ids!, read: read!, answers: answers! });
    data.set(result.hidden!.data as Float32Array, starts[from]! * width);
    onEvent?.({ kind: "progress", done: Math.min(sequences.length, from + ROWS_AT_ONCE) });
  }
  await session.release();
  return data;
}

/** Where each sequence's positions begin, and at last how many there are. */
function offsets(sequences: readonly Sequence[]): number[] {
  const starts = [0];
  for (const sequence of sequences) starts.push(starts.at(-1)! + answerLength(sequence));
  return starts;
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
  const rows = Math.min(options.batchSize, sequences.length);
  const most = sequences.reduce((longest, sequence) => Math.max(longest, answerLength(sequence)), 0);
  const largest = { B: rows, T: longest(lengths), Q: most, N: rows * most };
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

/** The cached states of some texts' positions. */
function cacheFeeds(
  cache: SequenceCache,
  starts: readonly number[],
  width: number,
  texts: Int32Array,
): Record<string, Value> {
  const parts = Array.from(texts, (text) => [starts[text]!, starts[text + 1]!] as const);
  const count = parts.reduce((sum, [from, to]) => sum + to - from, 0);
  const feeds: Record<string, Value> = {};
  for (const name of ["prompted", "student", "target"] as const) {
    const all = cache[name];
    if (!all) continue;
    const data = new Float32Array(count * width);
    let at = 0;
    for (const [from, to] of parts) {
      data.set(all.subarray(from * width, to * width), at);
      at += (to - from) * width;
    }
    feeds[`cached.${name}`] = { shape: [count, width], data };
  }
  return feeds;
}
