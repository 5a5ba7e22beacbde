import type { PrecisionName, PublicSet, Student } from "../../shared/protocol/catalogue.ts";
import type { Cost, Rate } from "../../shared/protocol/cost.ts";
import { isMaskedFamily, type Manifest } from "../../shared/protocol/manifest.ts";
import type { Quote } from "../../shared/protocol/quote.ts";
import { isGeneration, type Task } from "../../shared/protocol/task.ts";
import type { TransferOptions } from "../../shared/protocol/transfer-options.ts";
import { RANKED_TEXTS, takenTexts } from "../../shared/protocol/transfer-texts.ts";
import type { WeightsName } from "../../shared/protocol/weights.ts";
import type { Env } from "../env.ts";
import type { Ask } from "../ledger/decide.ts";
import { estimateOf, estimatesByDevice, readSamples } from "./speed.ts";

/** How far a job may exceed its estimate: what it takes beyond the reservation is not paid for. */
const RESERVE_FACTOR = 2;

const FORMULA =
  "deviceSeconds = startSeconds + tokens / tokensPerSecond; tokens = 3 · starts · steps · (batchSize · maxLength + virtualTokens) + " +
  "(read + (passes − 1) · taken + starts · heldOut) · maxLength; with a masked model, which reads the prompt with every text, batchSize · (maxLength + virtualTokens) and " +
  "(read + starts · heldOut) · (maxLength + virtualTokens) + (passes − 1) · taken · maxLength; taken = examples, at most steps · batchSize + 500, or those that are selected; " +
  "read = taken, or examples if texts are selected; passes = 1, or 3 if α > 0; heldOut = examples / 10 (or selected / 10), at most 500. " +
  `Of several public sets examples is the largest one's, and ${RANKED_TEXTS} · maxLength more at most for each. ` +
  "Where answers are text, maxLength + maxNewTokens stands for maxLength, nothing is held out, and a pass more answers the public texts";

export interface Price {
  readonly work: number;
  /** Micros a device second. */
  readonly perSecond: number;
  readonly rate: Rate;
  readonly estimate: Cost;
  /** On the fastest and on the slowest of the devices that are known. */
  readonly range: { readonly low: Cost; readonly high: Cost };
  readonly precision: PrecisionName;
  readonly weights: WeightsName;
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
    publicSets,
  }: { manifest: Manifest; options: TransferOptions; student: Student; publicSets: readonly PublicSet[] },
): Promise<Price> {
  return priceOfWork(env, workOf(manifest, options, student, publicSets), student, manifest.prompt.virtualTokens);
}

/**
 * The same for any job with a student's target, and for making predictions with it.
 *
 * @param work token positions that are computed
 */
export async function priceOfWork(env: Env, work: number, student: Student, virtualTokens: number): Promise<Price> {
  const { digest, precision, weights } = student.target;
  const samples = (await readSamples(env.PROMPTS, digest)).filter(
    (sample) => sample.precision === precision && sample.weights === weights,
  );
  const { startSeconds, tokensPerSecond } = estimateOf(samples, student.tokensPerSecond);
  const devices = estimatesByDevice(samples, student.tokensPerSecond);
  const perSecond = Number(env.PRICE_MICROS);
  const costs = (seconds: number) => ({ deviceSeconds: Math.ceil(seconds), micros: Math.ceil(seconds) * perSecond });
  const seconds = startSeconds + work / tokensPerSecond;
  const onDevices = [seconds, ...devices.map((device) => device.startSeconds + work / device.tokensPerSecond)];
  const slowest = Math.max(...onDevices);
  return {
    work,
    perSecond,
    rate: rateOf(env),
    estimate: costs(seconds),
    range: { low: costs(Math.min(...onDevices)), high: costs(slowest) },
    precision,
    weights,
    ask: { ...costs(slowest * RESERVE_FACTOR), virtualTokens },
    model: {
      formula: FORMULA,
      startSeconds,
      tokens: work,
      tokensPerSecond,
      finishedJobs: samples.length,
      devices: devices.map(({ startSeconds: _, ...device }) => device),
    },
  };
}

/**
 * Token positions that a transfer computes: forward and backward (as dear as two forward passes) of every step from every start, with
 * the prompt's positions shared by the batch, unless the model is a masked one (`textPositions`); what the loss is compared with, once for every text that is taken (of the prompted student, which reads all where
 * it chooses among them, and where α isn't 0 of both models without a prompt); and every start's prompt on the held-out texts. Of several public sets, some texts
 * of each to rank them by, and then the largest: which one it will be isn't known before.
 */
function workOf(
  manifest: Manifest,
  options: TransferOptions,
  student: Student,
  publicSets: readonly PublicSet[],
): number {
  const sizes = publicSets.map(({ examples }) => examples);
  const examples = Math.max(...sizes);
  const ranked = sizes.length > 1 ? sizes.reduce((sum, size) => sum + Math.min(RANKED_TEXTS, size), 0) : 0;
  const { steps, batchSize, alpha, starts } = options;
  const { task } = manifest;
  const answers = isGeneration(task);
  const length = longestOf(task);
  const prompted = textPositions(manifest, student);
  const shared = length + manifest.prompt.virtualTokens - prompted;
  const passes = (alpha > 0 ? 3 : 1) + (answers ? 1 : 0);
  const taken = takenTexts(options, examples);
  const read = taken.areChosen ? examples : taken.texts;
  const compared = answers ? 0 : starts.length * taken.heldOut;
  const walked = 3 * starts.length * steps * (batchSize * prompted + shared);
  return walked + (read + compared + ranked) * prompted + (passes - 1) * taken.texts * length;
}

/** Token positions of a text with its prompt: a masked model computes the prompt's anew for each text, others share them. */
export function textPositions({ task, prompt }: Manifest, { architecture }: Student): number {
  return longestOf(task) + (isMaskedFamily(architecture) ? prompt.virtualTokens : 0);
}

/** Of a text and its answer, in tokens. */
function longestOf(task: Task): number {
  return task.maxLength + (isGeneration(task) ? task.maxNewTokens : 0);
}

/** What transfers are paid by. */
export function rateOf(env: Env): Rate {
  return { device: env.DEVICE, currency: env.CURRENCY, microsPerHour: Number(env.PRICE_MICROS) * 3600 };
}
