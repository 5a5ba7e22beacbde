import { z } from "zod";
import { fileSchema, nameSchema } from "./catalogue.ts";
import { costSchema, rateSchema } from "./cost.ts";
import { rankedSetSchema, travelSchema } from "./manifest.ts";
import { optionsSchema } from "./transfer-options.ts";

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
