import type { Limits } from "../../shared/protocol/budget.ts";
import { type TokenBudget, type TokenPrices, type Tokens, tokenMicros } from "../../shared/protocol/metering.ts";

/** What a tenant has spent or set aside of what requests to models take. */
export interface TokenUsage {
  /** For transfers too. */
  readonly micros: number;
  readonly tokens: number;
  /** On this day in UTC. */
  readonly dailyTokens: number;
}

/** A budget that a request would pass. */
export interface TokenRefusal {
  readonly budget: TokenBudget;
  readonly message: string;
}

/**
 * The budgets that a request would pass, all of them; none means that it may be reserved.
 *
 * @param ask the most that the request can use
 */
export function tokenRefusals(limits: Limits, usage: TokenUsage, ask: Tokens, prices: TokenPrices): TokenRefusal[] {
  const found: TokenRefusal[] = [];
  const check = (budget: TokenBudget, what: string, limit: number, used: number, more: number) => {
    if (more <= limit - used) return;
    const message = `${what}: ${used} of ${limit} are spent or reserved, this request may need ${more}.`;
    found.push({ budget, message });
  };
  const tokens = ask.prompt + ask.completion;
  check("money", "Money in millionths", limits.micros, usage.micros, tokenMicros(ask, prices));
  check("tokens", "Tokens", limits.tokens ?? 0, usage.tokens, tokens);
  if (limits.dailyTokens !== undefined) {
    check("dailyTokens", "Tokens a day", limits.dailyTokens, usage.dailyTokens, tokens);
  }
  return found;
}

/** What a request that has ended costs: what it used, and never more than was reserved for it, whatever is reported. */
export function settledTokens(
  reserved: Tokens,
  used: Tokens,
  prices: TokenPrices,
): Tokens & { readonly micros: number } {
  const prompt = Math.min(used.prompt, reserved.prompt);
  const completion = Math.min(used.completion, reserved.completion);
  return { prompt, completion, micros: tokenMicros({ prompt, completion }, prices) };
}
