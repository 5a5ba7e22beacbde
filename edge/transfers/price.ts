import type { PublicSet, Student } from "../../shared/protocol/catalogue.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import {
  type Cost,
  heldOutTexts,
  type Quote,
  type Rate,
  type TransferOptions,
} from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import type { Ask } from "../ledger/decide.ts";
import { estimateOf, readSamples } from "./speed.ts";

/** How far a job may exceed its estimate: what it takes beyond the reservation is not paid for. */
const RESERVE_FACTOR = 2;

const FORMULA =
  "deviceSeconds = startSeconds + tokens / tokensPerSecond; tokens = 3 · starts · steps · (batchSize · maxLength + virtualTokens) + " +
  "passes · examples · maxLength + starts · heldOut · maxLength; passes = 1, or 3 if α > 0; heldOut = examples / 10, at most 500";

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
 * Token positions that a transfer computes: forward and backward (as dear as two forward passes) of every step from every start, with
 * the prompt's positions shared by the batch; what the loss is compared with, once for every example (of the prompted student, and where
 * α isn't 0 of both models without a prompt); and every start's prompt on the held-out texts.
 */
function workOf(manifest: Manifest, options: TransferOptions, { examples }: PublicSet): number {
  const { steps, batchSize, alpha, starts, selected } = options;
  const { maxLength } = manifest.task;
  const passes = alpha > 0 ? 3 : 1;
  const compared = starts.length * heldOutTexts(Math.min(examples, selected ?? examples));
  const walked = 3 * starts.length * steps * (batchSize * maxLength + manifest.prompt.virtualTokens);
  return walked + (passes * examples + compared) * maxLength;
}
