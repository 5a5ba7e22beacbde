import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { precisionSchema } from "../../shared/protocol/catalogue.ts";
import { weightsSchema } from "../../shared/protocol/weights.ts";
import { logEvent } from "../http/log.ts";
import type { PromptStore } from "../storage/prompt-store.ts";
import { readObject } from "../storage/read-object.ts";

/** Node, the models and their sessions have to be loaded before the first step: so long is assumed before it was seen. */
const START_SECONDS = 5;
/** Samples that are kept of every octave of work on every device in every precision, so that jobs of one kind push out none of another. */
const KEPT = 5;
/** Of all of them together. */
const MAX_SAMPLES = 200;
/** Older jobs may have run on other hardware: they count only where there is nothing newer. */
const MAX_AGE_MS = 30 * 86_400_000;
/** Jobs with less than this part of the work of the one that tells the speed took mostly the start's time. */
const LIGHT = 1 / 8;

const sampleSchema = z.object({
  /** Token positions that a finished transfer computed. */
  work: z.number().positive(),
  /** Device seconds that it took, start included. */
  seconds: z.number().positive(),
  /** When it ended, in milliseconds since 1970. */
  at: z.number(),
  /** What it ran on; empty where the job didn't say. */
  device: z.string().default(""),
  /** Whose it was; empty where an earlier release learned it. */
  tenant: z.string().default(""),
  precision: precisionSchema.default("fp32"),
  weights: weightsSchema.default("fp32"),
});

export type Sample = z.output<typeof sampleSchema>;

/** `calibration/DIGEST.json`. */
const calibrationSchema = z.object({ samples: z.array(sampleSchema) });

/** What transfers to a target take: `startSeconds + work / tokensPerSecond`. */
export interface Estimate {
  readonly startSeconds: number;
  readonly tokensPerSecond: number;
}

/** A device, and how many finished transfers tell of it. */
interface DeviceJobs {
  readonly device: string;
  readonly finishedJobs: number;
}

/**
 * Start and speed from finished transfers. Of each octave of work the medians count, so a few odd jobs move nothing. The speed is that of the
 * octave with the most work a second, which is where the start weighs least; what lighter jobs took is the start. So a transfer of that octave is
 * estimated at what it took whatever the lighter ones say, and a larger one at no less than half of that in proportion: tiny transfers can't
 * spoil the quotes of large ones. Jobs that are too light to tell a speed leave the one that the provider assumes.
 *
 * @param assumed token positions a second before anything is known
 */
export function estimateOf(samples: readonly Sample[], assumed: number): Estimate {
  const points = octaves(samples);
  const [first] = points;
  if (!first) return { startSeconds: START_SECONDS, tokensPerSecond: assumed };
  const rate = ({ work, seconds }: { work: number; seconds: number }) => work / seconds;
  const best = points.reduce((a, b) => (rate(b) > rate(a) ? b : a), first);
  const lights = points
    .filter(({ work }) => work < best.work * LIGHT)
    .map(({ work, seconds }) => Math.max(0, seconds - work / rate(best)));
  const start = Math.min(lights.length > 0 ? median(lights) : START_SECONDS, best.seconds / 2);
  const tokensPerSecond = best.work / (best.seconds - start);
  const heaviest = Math.max(...points.map(({ work }) => work));
  if (heaviest / assumed >= START_SECONDS || tokensPerSecond >= assumed)
    return { startSeconds: start, tokensPerSecond };
  return { startSeconds: Math.min(START_SECONDS, best.seconds), tokensPerSecond: assumed };
}

/** The same for each device that jobs have named. */
export function estimatesByDevice(samples: readonly Sample[], assumed: number): (Estimate & DeviceJobs)[] {
  const named = samples.filter(({ device }) => device !== "");
  return [...Map.groupBy(named, ({ device }) => device)].map(([device, own]) => ({
    device,
    ...estimateOf(own, assumed),
    finishedJobs: own.length,
  }));
}

/** The finished transfers to a target from which its speed is known. */
export async function readSamples(prompts: PromptStore, targetDigest: string): Promise<Sample[]> {
  try {
    const { samples = [] } = (await readObject(prompts, bucket.calibration(targetDigest), calibrationSchema)) ?? {};
    return samples;
  } catch (error) {
    // Damaged, or an earlier release's: what is learned from now on takes its place.
    logEvent("calibration dropped", { target: targetDigest, error: String((error as Error).cause ?? error) });
    return [];
  }
}

/** Learns from a finished job. Of a tenant one job of a kind counts, its last, so that none can own a median. When two finish at once, one of them may be forgotten: it is one sample of many. */
export async function learnSpeed(
  prompts: PromptStore,
  targetDigest: string,
  finished: z.input<typeof sampleSchema>,
): Promise<void> {
  const { data: sample } = sampleSchema.safeParse(finished);
  if (!sample) return;
  const key = bucket.calibration(targetDigest);
  const before = await prompts.get(key);
  const samples = [...(await readSamples(prompts, targetDigest)), sample];
  const alike = Map.groupBy(
    samples,
    ({ work, device, precision, weights }) => `${octaveOf(work)} ${precision} ${weights} ${device}`,
  );
  const newest = new Set([...alike.values()].flatMap((same) => lastOfTenants(same).slice(-KEPT)));
  const kept = samples.filter((each) => newest.has(each)).slice(-MAX_SAMPLES);
  const onlyIf = before ? { etagMatches: before.etag } : { etagDoesNotMatch: "*" };
  await prompts.put(key, JSON.stringify({ samples: kept } satisfies z.input<typeof calibrationSchema>), { onlyIf });
}

/** The last job of each tenant; of what nobody is named for, all. */
function lastOfTenants(samples: readonly Sample[]): Sample[] {
  return samples.filter(
    ({ tenant }, i) => tenant === "" || !samples.slice(i + 1).some((later) => later.tenant === tenant),
  );
}

/** The median job of each octave, of those that are not too old. */
function octaves(samples: readonly Sample[]): { work: number; seconds: number }[] {
  const newest = Math.max(...samples.map(({ at }) => at));
  const fresh = samples.filter(({ at }) => at > newest - MAX_AGE_MS);
  return [...byOctave(fresh).values()].map((same) => {
    const work = median(same.map((sample) => sample.work));
    // In proportion to the work, which differs by up to a factor of two.
    return { work, seconds: work * median(same.map((sample) => sample.seconds / sample.work)) };
  });
}

function byOctave(samples: readonly Sample[]): Map<number, Sample[]> {
  return Map.groupBy(samples, ({ work }) => octaveOf(work));
}

function octaveOf(work: number): number {
  return Math.floor(Math.log2(work));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
