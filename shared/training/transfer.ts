import { makeBatch } from "../data/batches.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { concat, split } from "../graph/operators/layout.ts";
import { input, type Tensor, variable } from "../graph/tensor.ts";
import { readHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { promptGradients } from "./loss-scale.ts";
import { transferLoss } from "./losses.ts";
import { type Optimizer, optimizerFeeds, optimizerStep, scalar } from "./optimizers.ts";
import { longest, prepare } from "./prepare.ts";
import { type EncodedText, mapTexts, textFeeds, textInputs } from "./texts.ts";
import { batchMean, EpochBatches } from "./tune.ts";
import { type ResumableRun, runVariables } from "./variable-run.ts";

/** Final hidden states at the read position of every public text, `[N, D]` row-major each. */
export interface TransferCache {
  /** The target without a prompt. */
  readonly target: Float32Array;
  /** The student without a prompt, and with the prompt that was tuned on it. */
  readonly student: Float32Array;
  readonly studentPrompted: Float32Array;
}

export interface Transfer {
  readonly engine: Engine;
  readonly target: Model;
  readonly publicTexts: readonly EncodedText[];
  readonly cache: TransferCache;
  /** Where the target's prompt starts, `[P, D]`: from the same text as the student's. */
  readonly start: Value;
  readonly alpha: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly learningRate: number;
  readonly seed: number;
  readonly state: ResumableRun;
}

/** The hidden states that never change while a prompt is tuned: of a model, with a prompt or without. */
export async function readStates(
  engine: Engine,
  model: Model,
  texts: readonly EncodedText[],
  name: string,
  watch: Watch,
  prompt?: Value,
): Promise<Float32Array> {
  if (prompt) await engine.set({ "read.prompt": prompt });
  const result = readHidden(model, textInputs(), prompt && sharedPrompt(variable("read.prompt", prompt.shape)));
  return (await mapTexts(engine, name, { result }, texts, watch)).data;
}

/**
 * Finds the target's prompt that makes the target behave, on public texts, as the student does with its prompt. A step is one
 * forward and backward pass of the target: everything else is in the cache. It ends after a fixed number of steps.
 * @returns the prompt `[P, D]` and the mean public loss of the last steps
 * @throws InterruptedError when stopped, after the state was saved
 */
export async function transfer(
  options: Transfer,
  watch: Watch,
): Promise<{ readonly prompt: Value; readonly loss: number }> {
  const { engine, target, publicTexts, cache, start, optimizer, steps } = options;
  const width = target.config.width;
  const prompt = variable("prompt", start.shape);
  const loss = transferStepLoss(target, sharedPrompt(prompt));
  const update = optimizerStep(optimizer, [
    { variable: prompt, gradient: promptGradients(loss, [prompt], target)[0]! },
  ]);
  const largest = { B: Math.min(options.batchSize, publicTexts.length), T: longest(publicTexts) };
  const session = await prepare(engine, { outputs: { loss }, updates: update.updates }, largest, watch);
  const batches = new EpochBatches(publicTexts, options.batchSize, { kind: "shuffled", seed: options.seed });
  const mean = await runVariables(
    {
      name: "transferring",
      engine,
      steps,
      state: options.state,
      variables: { prompt: start, ...update.initial },
      async step(index) {
        const batch = makeBatch(publicTexts, batches.at(index));
        const feeds = {
          ...textFeeds(batch),
          target: rows(cache.target, width, batch.examples),
          student: rows(cache.student, width, batch.examples),
          studentPrompted: rows(cache.studentPrompted, width, batch.examples),
          alpha: scalar(options.alpha),
          ...optimizerFeeds(optimizer, index + 1, options.learningRate),
        };
        return (await session.run(feeds)).loss!.data[0]!;
      },
    },
    watch,
  );
  await session.release();
  return { prompt: (await engine.get(["prompt"])).prompt!, loss: mean };
}

/**
 * The loss of a transfer step, on the graph inputs `ids`, `lengths`, `target`, `student`, `studentPrompted` (`[B, D]` cached
 * hidden states) and `alpha`. The student's head is the target's.
 */
export function transferStepLoss(target: Model, prompt: Tensor): Tensor {
  const names = ["studentPrompted", "student", "target"];
  const cached = names.map((name) => input(name, "float32", ["B", target.config.width]));
  // One product for the three: with few rows, most of its time is to read the head.
  const logits = split(target.logits(concat(cached, 0)), 0, ["B", "B", "B"]);
  const [studentPrompted, student, bare] = logits as [Tensor, Tensor, Tensor];
  const prompted = target.logits(readHidden(target, textInputs(), prompt));
  const alpha = input("alpha", "float32", []);
  return batchMean(transferLoss({ prompted: studentPrompted, bare: student }, { prompted, bare }, alpha));
}

/** Some rows of a cached matrix `[N, width]`, as a feed `[B, width]`. */
function rows(matrix: Float32Array, width: number, indices: Int32Array): Value {
  const data = new Float32Array(indices.length * width);
  indices.forEach((index, row) => {
    data.set(matrix.subarray(index * width, (index + 1) * width), row * width);
  });
  return { shape: [indices.length, width], data };
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
