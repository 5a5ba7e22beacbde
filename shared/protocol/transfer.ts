import { z } from "zod";
import { fileSchema, nameSchema, precisionSchema } from "./catalogue.ts";
import {
  ANSWERS,
  idSchema,
  LOSSES,
  MAX_PUBLIC_SETS,
  manifestSchema,
  privacyRecordSchema,
  rankedSetSchema,
  STARTS,
  travelSchema,
} from "./manifest.ts";
import { inferenceBudgetSchema, tokenPricesSchema } from "./metering.ts";
import { weightsSchema } from "./weights.ts";

/** Twenty times the paper's number of steps and a hundred times the default; the budget is what limits a job, this only catches slips. */
const MAX_STEPS = 100_000;
const MAX_BATCH = 256;

/** Fewer can't show every class, nor how well a prompt travelled. */
const MIN_SELECTED = 10;

/** How a transfer goes unless told: docs/results.md says what it is chosen by. */
export const TRANSFER_DEFAULTS = {
  steps: 1000,
  batchSize: 16,
  learningRate: 1e-2,
  alpha: 0,
} as const;

/** The transferred prompt is the mean over so many last steps: a hundred, or a fifth of fewer than 500. */
export function transferAverage(steps: number): number {
  return Math.min(100, Math.ceil(steps / 5));
}

/** In place of a public set's name: any of those in service. */
export const AUTO = "auto";

/** What the client chooses about a transfer. Defaults are the method's. */
export const optionsSchema = z
  .strictObject({
    dataset: idSchema.describe(
      "An opaque id of the private data set behind the prompt. Every prompt tuned on one data set must name the same id: the privacy budget is kept by it.",
    ),
    publicSet: nameSchema.describe(`A public set of the provider's, or ${AUTO} for any of those in service.`),
    alternatives: z
      .array(nameSchema)
      .min(1)
      .max(MAX_PUBLIC_SETS - 1)
      .optional()
      .describe(
        "More public sets: the one is taken whose texts the prompted student tells apart best. Only for tasks with labels; whether that predicts how well a prompt travels isn't measured.",
      ),
    loss: z
      .enum(LOSSES)
      .optional()
      .describe(
        "What of student and target is compared: the class distributions (default for a task with labels), or the next token's over the whole vocabulary, as in the paper.",
      ),
    steps: z.int().min(1).max(MAX_STEPS).default(TRANSFER_DEFAULTS.steps),
    batchSize: z.int().min(1).max(MAX_BATCH).default(TRANSFER_DEFAULTS.batchSize),
    learningRate: z
      .number()
      .positive()
      .max(1)
      .default(TRANSFER_DEFAULTS.learningRate)
      .describe("Its peak: it rises over the first steps and falls along a cosine."),
    alpha: z
      .number()
      .min(0)
      .max(1)
      .default(TRANSFER_DEFAULTS.alpha)
      .describe("Weight of the loss on the prompt-induced difference."),
    starts: z
      .array(z.enum(STARTS))
      .min(1)
      .max(STARTS.length)
      .refine((starts) => new Set(starts).size === starts.length, "Names a start twice.")
      .default(["words"])
      .describe(
        "Where the target's prompt starts: the words that the student's started from, or the student's prompt. Of both, the one whose prompt diverges least from the student on held-out public texts is kept; each costs all the steps.",
      ),
    selected: z
      .int()
      .min(MIN_SELECTED)
      .nullable()
      .default(null)
      .describe(
        "How many texts to choose of the public set: those that the prompted student is surest of, of every class alike. Null: all.",
      ),
    answers: z
      .enum(ANSWERS)
      .optional()
      .describe(
        "Where answers are text, at what student and target are compared: the student's likeliest answers (default), drawn ones, or the first position of an answer only.",
      ),
    seed: z.int().min(0).max(0xffff_ffff).default(0),
  })
  .meta({ id: "TransferOptions" });

/** As many, and as long, as the fine-tuning APIs that users know take. */
const MAX_PAIRS = 16;
const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= MAX_PAIRS, `Has more than ${MAX_PAIRS} pairs.`);
const nameOfTransfer = z.string().min(1).max(100);

/** What a client calls a transfer, for itself: jobs are never told. */
export const labelsSchema = z
  .strictObject({ name: nameOfTransfer.optional(), metadata: metadataSchema.default({}) })
  .meta({ id: "Labels", examples: [{ name: "mails, third try", metadata: { commit: "1f3c9a2" } }] });

export type Labels = z.output<typeof labelsSchema>;

export {
  ANSWERS,
  type AnswersName,
  LOSSES,
  type LossName,
  MAX_PUBLIC_SETS,
  type RankedSet,
  STARTS,
  type StartName,
  type Travel,
} from "./manifest.ts";

export type TransferOptions = z.output<typeof optionsSchema>;

const costSchema = z
  .object({
    deviceSeconds: z.int().nonnegative(),
    micros: z.int().nonnegative().describe("Millionths of the currency."),
  })
  .meta({ id: "Cost" });

export type Cost = z.output<typeof costSchema>;

const rateSchema = z
  .object({
    device: z.string().describe("What transfers are computed on."),
    currency: z.string(),
    microsPerHour: z.int().nonnegative().describe("Price of an hour of the device, in millionths of the currency."),
  })
  .meta({ id: "Rate" });

export type Rate = z.output<typeof rateSchema>;

const budgetNames = ["money", "deviceSeconds", "virtualTokens", "concurrent", "daily", "privacy"] as const;
export type BudgetName = (typeof budgetNames)[number];

export const limitsSchema = z
  .strictObject({
    micros: z
      .int()
      .nonnegative()
      .describe("Money, in millionths of the currency, for all transfers and tokens together."),
    deviceSeconds: z.int().nonnegative(),
    virtualTokens: z.int().nonnegative().describe("Rows of all transferred prompts together."),
    concurrent: z.int().nonnegative().describe("Transfers that are not finished."),
    daily: z.int().nonnegative().describe("Transfers submitted on one day (UTC), cancelled ones included."),
    privacy: z
      .strictObject({ epsilon: z.number().positive(), delta: z.number().gt(0).lt(1) })
      .nullable()
      .describe("What all prompts released from one private data set may reveal together; null: not limited."),
    tokens: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        "Prompt and completion tokens of all requests to models together. Without it none: nobody granted any.",
      ),
    dailyTokens: z
      .int()
      .nonnegative()
      .optional()
      .describe("The same for one day (UTC). Without it, a day may use what is left."),
  })
  .meta({ id: "Limits" });

export type Limits = z.output<typeof limitsSchema>;

const usedSchema = z.object({ limit: z.number(), used: z.number(), reserved: z.number() });

export const budgetSchema = z
  .object({
    currency: z.string(),
    money: usedSchema.describe("Millionths of the currency."),
    deviceSeconds: usedSchema,
    virtualTokens: usedSchema,
    concurrent: z.object({ limit: z.int(), used: z.int() }),
    daily: z.object({ limit: z.int(), used: z.int(), resets: z.iso.datetime() }),
    privacy: z.object({
      limit: limitsSchema.shape.privacy,
      datasets: z.array(
        z.object({
          dataset: idSchema,
          prompts: z.int().positive().describe("Different prompts that were released."),
          epsilon: z.number().nullable().describe("Composed epsilon at the limit's delta; null: not private."),
          delta: z.number(),
          unit: z
            .string()
            .optional()
            .describe("Whose data epsilon is about; the weakest where the prompts' units differ."),
        }),
      ),
    }),
    inference: inferenceBudgetSchema.optional(),
    rate: rateSchema.optional().describe("What the provider asks for transfers now."),
  })
  .meta({ id: "Budget" });

const releaseSchema = z
  .object({
    promptDigest: z.string(),
    at: z.iso.datetime(),
    privacy: privacyRecordSchema.nullable().describe("Null: tuned without differential privacy."),
  })
  .meta({ id: "Release", description: "A prompt that was released from a data set: its privacy counts for good." });

export type ReleaseRecord = z.output<typeof releaseSchema>;

export const releaseListSchema = z.object({ releases: z.array(releaseSchema) });

export type Budget = z.output<typeof budgetSchema>;

export const refusalSchema = z
  .object({ budget: z.enum(budgetNames), message: z.string() })
  .meta({ id: "Refusal", description: "A budget that a transfer would pass." });

export type Refusal = z.output<typeof refusalSchema>;

export const quoteRequestSchema = z
  .strictObject({ manifest: manifestSchema, options: optionsSchema })
  .meta({ id: "QuoteRequest" });

export const quoteSchema = z
  .object({
    rate: rateSchema,
    estimate: costSchema.describe("What the transfer will probably cost."),
    range: z
      .object({ low: costSchema, high: costSchema })
      .optional()
      .describe("From the fastest to the slowest of the devices that transfers to this target have run on."),
    precision: precisionSchema.default("fp32").describe("What the transfer is computed in."),
    weights: weightsSchema.default("fp32").describe("In what form the target's matrices are held."),
    reserve: costSchema.describe("What is set aside until it has finished, and the most that it can cost."),
    cancellation: z.string().describe("What a transfer costs that is cancelled."),
    model: z
      .object({
        formula: z.string(),
        startSeconds: z.number(),
        tokens: z.number(),
        tokensPerSecond: z.number(),
        finishedJobs: z.int().describe("Jobs that the speed was calibrated from; 0: the provider's assumption."),
        devices: z
          .array(z.object({ device: z.string(), tokensPerSecond: z.number(), finishedJobs: z.int() }))
          .default([])
          .describe("The same for each device: which one a transfer gets isn't known before."),
      })
      .describe("How the estimate was made."),
    left: z
      .object({
        money: z.number().nullable(),
        deviceSeconds: z.number().nullable(),
        virtualTokens: z.number().nullable(),
        concurrent: z.number().nullable(),
        daily: z.number().nullable(),
        privacy: z.number().nullable(),
      } satisfies Record<(typeof budgetNames)[number], unknown>)
      .describe("What would be left of each budget; for privacy, epsilon of this data set. Null: not limited."),
    privacyUnit: z
      .string()
      .nullable()
      .optional()
      .describe(
        "Whose data the privacy that is left is about, this prompt included: one example, or all rows of one user. Null: not limited.",
      ),
    refusals: z.array(refusalSchema).describe("Empty if the transfer would be accepted now."),
    inference: z
      .object({ prices: tokenPricesSchema, tokensLeft: z.int() })
      .optional()
      .describe("What using the transferred prompt at the provider costs, and the tokens that the budget has left."),
  })
  .meta({ id: "Quote" });

export type Quote = z.output<typeof quoteSchema>;

/** In the order that a transfer goes through them; the last three are final. */
export const states = ["accepted", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"] as const;
export type State = (typeof states)[number];

export const progressSchema = z
  .object({
    phase: z.string().max(100),
    done: z.number().nonnegative(),
    total: z.number().nonnegative(),
    unit: z.enum(["steps", "texts", "bytes"]).optional().describe("What is counted; steps where it isn't said."),
    loss: z.number().optional().describe("Transfer loss on the public set."),
  })
  .meta({ id: "Progress" });

export type Progress = z.output<typeof progressSchema>;

export const transferSchema = z
  .object({
    id: z.string(),
    state: z.enum(states),
    version: z.int().describe("Grows with every change."),
    created: z.iso.datetime(),
    updated: z.iso.datetime(),
    student: nameSchema,
    virtualTokens: z.int(),
    promptDigest: z.string(),
    name: z.string().nullable().default(null).describe("What the client calls it."),
    metadata: z.record(z.string(), z.string()).default({}).describe("The client's own pairs."),
    deleted: z.iso
      .datetime()
      .nullable()
      .default(null)
      .describe(
        "When its prompt and files were deleted. What it cost and what it released of a data set stays counted.",
      ),
    options: optionsSchema,
    progress: progressSchema.nullable(),
    losses: z
      .array(z.object({ step: z.int(), loss: z.number() }))
      .describe("Some steps with their loss, thinned out evenly."),
    rate: rateSchema.describe("What it was agreed to be paid by."),
    device: z
      .string()
      .nullable()
      .default(null)
      .describe("What it runs or ran on, which the job says; null before that. The rate holds whatever it is."),
    estimatedSeconds: z.int().nonnegative(),
    reserved: costSchema,
    cost: costSchema
      .nullable()
      .describe("Null until the transfer has finished. Whole seconds, and never more than was reserved."),
    actualSeconds: z
      .number()
      .nullable()
      .describe(
        "Seconds on the device over all attempts, which may be more than is paid for. Null until it has finished, and if it failed or nothing was computed.",
      ),
    travel: travelSchema
      .nullable()
      .describe(
        "How well the prompt travelled. Null until the transfer succeeded, and where there were too few public texts to tell.",
      ),
    advice: z.array(z.string()).describe("What might make it travel better."),
    ranked: z
      .array(rankedSetSchema)
      .nullable()
      .default(null)
      .describe(
        "The public sets that were ranked; the first one was taken. Null until it succeeded, and where there was one.",
      ),
    problem: z.string().nullable().describe("Why it failed."),
    files: z.array(fileSchema).describe("The transferred prompt's folder, once it succeeded."),
  })
  .meta({ id: "Transfer" });

export type Transfer = z.output<typeof transferSchema>;

export const transferPageSchema = z.object({
  transfers: z.array(transferSchema),
  has_more: z.boolean(),
  cursor: z.string().nullable().describe("For the next page; null where this is the last."),
});

export type TransferPage = z.output<typeof transferPageSchema>;

export const ledgerEntrySchema = z
  .object({
    sequence: z.int(),
    at: z.iso.datetime(),
    transfer: z.string(),
    kind: z.enum(["reserve", "settle", "refund"]),
    micros: z
      .int()
      .describe(
        "Change of what is spent or reserved: the sum over all entries is what the budget shows, but for what requests to models cost (GET /v1/usage).",
      ),
    deviceSeconds: z.int(),
    virtualTokens: z.int(),
    note: z.string(),
  })
  .meta({ id: "LedgerEntry" });

export type LedgerEntry = z.output<typeof ledgerEntrySchema>;
