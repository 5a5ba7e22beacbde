import { z } from "zod";
import { nameSchema } from "./catalogue.ts";
import { ANSWERS, idSchema, LOSSES, MAX_PUBLIC_SETS, STARTS } from "./manifest.ts";

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

export type TransferOptions = z.output<typeof optionsSchema>;
