import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { PublicSet, Student } from "../../shared/protocol/catalogue.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import type { Cost, Quote, Rate, TransferOptions } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import type { Ask } from "../ledger/decide.ts";
import type { PromptStore } from "../storage/prompt-store.ts";

/** Node, the models and their sessions have to be loaded before the first step. */
const START_SECONDS = 5;
/** How far a job may exceed its estimate: what it takes beyond the reservation is not paid for. */
const RESERVE_FACTOR = 2;
/** Older jobs may have run on other hardware. */
const KEPT_SPEEDS = 20;

const FORMULA =
  "deviceSeconds = startSeconds + tokens / tokensPerSecond; tokens = 3 · steps · (batchSize · length + virtualTokens) + 3 · min(examples, steps · batchSize) · length; length = maxLength, and where answers are text + maxNewTokens, with examples · length more to answer the public texts";

const calibrationSchema = z.object({ speeds: z.array(z.number().positive()) });

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
  const speeds = await readSpeeds(env.PROMPTS, student.target.digest);
  const tokensPerSecond = speeds.length > 0 ? median(speeds) : student.tokensPerSecond;
  const seconds = START_SECONDS + work / tokensPerSecond;
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
      startSeconds: START_SECONDS,
      tokens: work,
      tokensPerSecond,
      finishedJobs: speeds.length,
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

/** Speeds of the last finished transfers to a target, token positions a second. */
async function readSpeeds(prompts: PromptStore, targetDigest: string): Promise<number[]> {
  const object = await prompts.get(bucket.calibration(targetDigest));
  return object ? calibrationSchema.parse(await object.json()).speeds : [];
}

/** Learns from a finished job. When two finish at once, one of them may be forgotten: it is one sample of twenty. */
export async function learnSpeed(
  prompts: PromptStore,
  targetDigest: string,
  work: number,
  seconds: number,
): Promise<void> {
  const key = bucket.calibration(targetDigest);
  const object = await prompts.get(key);
  const { speeds } = object ? calibrationSchema.parse(await object.json()) : { speeds: [] };
  // A job that was faster than its start-up still took some of its time for the work.
  const speed = work / Math.max(seconds - START_SECONDS, seconds / 2, 0.001);
  const onlyIf = object ? { etagMatches: object.etag } : { etagDoesNotMatch: "*" };
  await prompts.put(key, JSON.stringify({ speeds: [...speeds, speed].slice(-KEPT_SPEEDS) }), { onlyIf });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
