import type { PublicSet, Student } from "../../shared/protocol/catalogue.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import type { Cost, Quote, Rate, TransferOptions } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import type { Ask } from "../ledger/decide.ts";
import { estimateOf, readSamples } from "./speed.ts";

/** How far a job may exceed its estimate: what it takes beyond the reservation is not paid for. */
const RESERVE_FACTOR = 2;

const FORMULA =
  "deviceSeconds = startSeconds + tokens / tokensPerSecond; tokens = 3 · steps · (batchSize · length + virtualTokens) + 3 · min(examples, steps · batchSize) · length; length = maxLength, and where answers are text + maxNewTokens, with examples · length more to answer the public texts";

export interface Price {
  readonly work: number;
  /** Micros a device second. */
  readonly perSecond: number;
  readonly rate: Rate;
  readonly estimate: Cost;
  readonly ask: Ask;
  readonly model: Quote["model"];
}

/** What a transfer will probably cost, what is set aside for it, and how that was found. */
export async function priceOf(
  env: Env,
  {
    manifest,
    options,
    student,
    publicSet,
  }: { manifest: Manifest; options: TransferOptions; student: Student; publicSet: PublicSet },
): Promise<Price> {
  const work = workOf(manifest, options, publicSet);
  const samples = await readSamples(env.PROMPTS, student.target.digest);
  const { startSeconds, tokensPerSecond } = estimateOf(samples, student.tokensPerSecond);
  const seconds = startSeconds + work / tokensPerSecond;
  const perSecond = Number(env.PRICE_MICROS);
  const costs = (deviceSeconds: number) => ({ deviceSeconds, micros: deviceSeconds * perSecond });
  return {
    work,
    perSecond,
    rate: { device: env.DEVICE, currency: env.CURRENCY, microsPerHour: perSecond * 3600 },
    estimate: costs(Math.ceil(seconds)),
    ask: { ...costs(Math.ceil(seconds * RESERVE_FACTOR)), virtualTokens: manifest.prompt.virtualTokens },
    model: {
      formula: FORMULA,
      startSeconds,
      tokens: work,
      tokensPerSecond,
      finishedJobs: samples.length,
    },
  };
}

/**
 * Token positions that a transfer computes: forward and backward (as dear as two forward passes) of every step, with the prompt's
 * positions shared by the batch, and the three vectors of every example that are computed once. Where answers are text, the student
 * answers every public text once.
 */
function workOf(manifest: Manifest, options: TransferOptions, publicSet: PublicSet): number {
  const { steps, batchSize } = options;
  const { task, prompt } = manifest;
  const length = task.maxLength + (isGeneration(task) ? task.maxNewTokens : 0);
  const seen = Math.min(publicSet.examples, steps * batchSize);
  const answered = isGeneration(task) ? publicSet.examples : 0;
  return 3 * steps * (batchSize * length + prompt.virtualTokens) + 3 * seen * length + answered * length;
}
