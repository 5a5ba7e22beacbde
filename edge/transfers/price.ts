import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { type PrecisionName, type PublicSet, precisionSchema, type Student } from "../../shared/protocol/catalogue.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import type { Cost, Quote, Rate, TransferOptions } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import type { Ask } from "../ledger/decide.ts";
import type { PromptStore } from "../storage/prompt-store.ts";

/** Node, the models and their sessions have to be loaded before the first step. */
const START_SECONDS = 5;
/** How far a job may exceed its estimate: what it takes beyond the reservation is not paid for. */
const RESERVE_FACTOR = 2;
/** Of one device and precision: older jobs may have run on another machine image or release. */
const KEPT_SPEEDS = 20;
/** Of all devices together. */
const MAX_SAMPLES = 200;

const FORMULA =
  "deviceSeconds = startSeconds + tokens / tokensPerSecond; tokens = 3 · steps · (batchSize · maxLength + virtualTokens) + 3 · min(examples, steps · batchSize) · maxLength";

/** Speeds of the last jobs, oldest first; the device is missing in those of early releases. */
const sampleSchema = z.object({
  speed: z.number().positive(),
  device: z.string().default(""),
  precision: precisionSchema.default("fp32"),
});
const calibrationSchema = z.object({
  speeds: z.array(
    z.union([
      sampleSchema,
      z
        .number()
        .positive()
        .transform((speed) => sampleSchema.parse({ speed })),
    ]),
  ),
});

type Sample = z.output<typeof sampleSchema>;

export interface Price {
  readonly work: number;
  /** Micros a device second. */
  readonly perSecond: number;
  readonly rate: Rate;
  readonly estimate: Cost;
  /** On the fastest and on the slowest of the devices that are known. */
  readonly range: { readonly low: Cost; readonly high: Cost };
  readonly precision: PrecisionName;
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
  const { digest, precision } = student.target;
  const samples = (await readSamples(env.PROMPTS, digest)).filter((sample) => sample.precision === precision);
  const devices = speedsByDevice(samples);
  const tokensPerSecond = samples.length > 0 ? median(samples.map(({ speed }) => speed)) : student.tokensPerSecond;
  const perSecond = Number(env.PRICE_MICROS);
  const secondsAt = (speed: number) => START_SECONDS + work / speed;
  const costs = (seconds: number) => ({ deviceSeconds: Math.ceil(seconds), micros: Math.ceil(seconds) * perSecond });
  const speeds = devices.length > 0 ? devices.map((device) => device.tokensPerSecond) : [tokensPerSecond];
  const slowest = secondsAt(Math.min(...speeds));
  return {
    work,
    perSecond,
    rate: { device: env.DEVICE, currency: env.CURRENCY, microsPerHour: perSecond * 3600 },
    estimate: costs(secondsAt(tokensPerSecond)),
    range: { low: costs(secondsAt(Math.max(...speeds))), high: costs(slowest) },
    precision,
    ask: { ...costs(slowest * RESERVE_FACTOR), virtualTokens: manifest.prompt.virtualTokens },
    model: {
      formula: FORMULA,
      startSeconds: START_SECONDS,
      tokens: work,
      tokensPerSecond,
      finishedJobs: samples.length,
      devices,
    },
  };
}

/** The median speed of each device that jobs have named. */
function speedsByDevice(samples: readonly Sample[]): Quote["model"]["devices"] {
  const named = samples.filter(({ device }) => device !== "");
  return [...Map.groupBy(named, ({ device }) => device)].map(([device, own]) => ({
    device,
    tokensPerSecond: median(own.map(({ speed }) => speed)),
    finishedJobs: own.length,
  }));
}

/**
 * Token positions that a transfer computes: forward and backward (as dear as two forward passes) of every step, with the prompt's
 * positions shared by the batch, and the three vectors of every example that are computed once.
 */
function workOf(manifest: Manifest, options: TransferOptions, publicSet: PublicSet): number {
  const { steps, batchSize } = options;
  const { maxLength } = manifest.task;
  const seen = Math.min(publicSet.examples, steps * batchSize);
  return 3 * steps * (batchSize * maxLength + manifest.prompt.virtualTokens) + 3 * seen * maxLength;
}

async function readSamples(prompts: PromptStore, targetDigest: string): Promise<Sample[]> {
  const object = await prompts.get(bucket.calibration(targetDigest));
  return object ? calibrationSchema.parse(await object.json()).speeds : [];
}

/** A job that has finished. */
export interface FinishedWork {
  readonly targetDigest: string;
  readonly work: number;
  readonly seconds: number;
  readonly device?: string | undefined;
  readonly precision?: PrecisionName | undefined;
}

/** Learns from a finished job. When two finish at once, one of them may be forgotten: it is one sample of many. */
export async function learnSpeed(
  prompts: PromptStore,
  { targetDigest, work, seconds, device = "", precision = "fp32" }: FinishedWork,
): Promise<void> {
  const key = bucket.calibration(targetDigest);
  const object = await prompts.get(key);
  const { speeds } = object ? calibrationSchema.parse(await object.json()) : { speeds: [] };
  // A job that was faster than its start-up still took some of its time for the work.
  const speed = work / Math.max(seconds - START_SECONDS, seconds / 2, 0.001);
  const sample: Sample = { speed, device, precision };
  const same = speeds.filter((other) => other.device === device && other.precision === precision);
  const dropped = same.length < KEPT_SPEEDS ? undefined : same[0];
  const kept = speeds.filter((other) => other !== dropped).slice(-MAX_SAMPLES);
  const onlyIf = object ? { etagMatches: object.etag } : { etagDoesNotMatch: "*" };
  await prompts.put(key, JSON.stringify({ speeds: [...kept, sample] }), { onlyIf });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
