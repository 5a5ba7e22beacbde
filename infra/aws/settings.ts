import { readFileSync } from "node:fs";
import { z } from "zod";
import { parseWrangler } from "../wrangler-config.ts";

/** `dev` is the top level of `wrangler.toml`, the others are its environments. */
export const stages = ["dev", "staging", "production"] as const;
export type Stage = (typeof stages)[number];

const stageSchema = z.strictObject({
  /** GPUs at most at once on Spot machines; at least one of the largest size must fit (queues.ts). It bounds what an hour can cost. */
  maxGpus: z.int().min(4),
  /** The same for the queue that never waits for Spot capacity; 0 turns it off. */
  maxOnDemandGpus: z.int().refine((n) => n === 0 || n >= 4, "must be 0, or at least 4"),
  /** GPUs at most at once that answer requests for inference, where the stack for that is deployed (serving/stack.ts). */
  maxServingGpus: z.int().min(1),
  /** Letters of the region's availability zones that have the GPUs (docs/deploy.md says how to find out). */
  zones: z
    .array(z.string().regex(/^[a-z]$/))
    .min(2)
    .max(6),
  /** In US dollars. Nothing stops at it: it is what the alarms count against. */
  monthlyBudget: z.int().positive(),
  /** How long the jobs' logs are kept: one of the numbers that CloudWatch takes. */
  logDays: z.literal([7, 14, 30, 60, 90, 180, 365]),
});

export interface Settings extends z.output<typeof stageSchema> {
  readonly stage: Stage;
  readonly region: string;
  /** What all names begin with: the queue's name. */
  readonly prefix: string;
  /** The R2 bucket's name; undefined where the stack has one of its own on S3. */
  readonly r2Bucket: string | undefined;
  /** The Worker's address. */
  readonly publicUrl: string;
  /** Tag of the jobs' image. */
  readonly version: string;
  readonly zoneNames: readonly string[];
}

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

/** Settings of a stage: sizes from `settings.json`, names from `wrangler.toml`, so that Worker and jobs can't disagree. */
export function readSettings(stage: Stage): Settings {
  const sizes = z.record(z.enum(stages), stageSchema).parse(JSON.parse(read("./settings.json")))[stage];
  const wrangler = parseWrangler(read("../../wrangler.toml"));
  const { vars, r2_buckets } = stage === "dev" ? wrangler : wrangler.env[stage]!;
  return {
    ...sizes,
    stage,
    region: vars.AWS_REGION!,
    zoneNames: sizes.zones.map((letter) => vars.AWS_REGION! + letter),
    prefix: vars.BATCH_QUEUE!,
    r2Bucket: r2_buckets[0]?.bucket_name,
    publicUrl: vars.PUBLIC_URL!,
    version: z.object({ version: z.string() }).parse(JSON.parse(read("../../package.json"))).version,
  };
}
