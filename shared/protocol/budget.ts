import { z } from "zod";
import { rateSchema } from "./cost.ts";
import { idSchema, privacyRecordSchema } from "./manifest.ts";
import { inferenceBudgetSchema } from "./metering.ts";

export const budgetNames = ["money", "deviceSeconds", "virtualTokens", "concurrent", "daily", "privacy"] as const;
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
