/** What the use of models costs: tokens, which are a budget of their own. */
import { z } from "zod";

/** Tokens of prompts and of completions; soft prompts are not counted. */
export interface Tokens {
  readonly prompt: number;
  readonly completion: number;
}

export const tokenPricesSchema = z
  .object({
    promptMicros: z.int().nonnegative().describe("A million prompt tokens, in millionths of the currency."),
    completionMicros: z.int().nonnegative().describe("A million completion tokens, in millionths of the currency."),
  })
  .meta({ id: "TokenPrices" });

export type TokenPrices = z.output<typeof tokenPricesSchema>;

/** What so many tokens cost in millionths of the currency, rounded up to a whole one. */
export function tokenMicros({ prompt, completion }: Tokens, { promptMicros, completionMicros }: TokenPrices): number {
  return Math.ceil((prompt * promptMicros + completion * completionMicros) / 1e6);
}

/** Refused parts of the budget of tokens, and of the money that they cost. */
const TOKEN_BUDGETS = ["money", "tokens", "dailyTokens"] as const;
export type TokenBudget = (typeof TOKEN_BUDGETS)[number];

export const inferenceBudgetSchema = z
  .object({
    tokens: z.object({ limit: z.int(), used: z.int(), reserved: z.int() }),
    daily: z.object({
      limit: z.int().nullable().describe("Null: not limited."),
      used: z.int(),
      reserved: z.int(),
      resets: z.iso.datetime(),
    }),
    micros: z.object({ used: z.int(), reserved: z.int() }).describe("The part of the money that it has cost."),
    prices: tokenPricesSchema,
  })
  .meta({ id: "InferenceBudget", description: "Tokens that models were asked with, and that they answered." });

export type InferenceBudget = z.output<typeof inferenceBudgetSchema>;

export const usageRowSchema = z
  .object({
    day: z.iso.date().describe("In UTC, on which the requests began."),
    model: z.string().describe("TARGET, or TARGET:TRANSFER_ID; whatever alias it was asked by."),
    requests: z.int(),
    promptTokens: z.int(),
    completionTokens: z.int(),
    micros: z.int().describe("Millionths of the currency."),
  })
  .meta({ id: "UsageRow", description: "What was used on a day of a model." });

export type UsageRow = z.output<typeof usageRowSchema>;

export const usageSchema = z
  .object({ currency: z.string(), rows: z.array(usageRowSchema).describe("By day, then by model.") })
  .meta({ id: "Usage" });

export type Usage = z.output<typeof usageSchema>;
