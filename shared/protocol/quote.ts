import { z } from "zod";
import { type budgetNames, refusalSchema } from "./budget.ts";
import { precisionSchema } from "./catalogue.ts";
import { costSchema, rateSchema } from "./cost.ts";
import { manifestSchema } from "./manifest.ts";
import { tokenPricesSchema } from "./metering.ts";
import { optionsSchema } from "./transfer-options.ts";
import { weightsSchema } from "./weights.ts";

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
