import type { Budget, BudgetName, Limits } from "../../shared/protocol/budget.ts";
import type { InferenceBudget, TokenPrices } from "../../shared/protocol/metering.ts";
import type { Ask, Usage } from "./decide.ts";
import { composedUnit } from "./privacy.ts";
import type { Release } from "./store.ts";
import { nextDay } from "./times.ts";
import type { TokenSums } from "./tokens.ts";

/** What would be left of each budget after the transfer; negative where it would be passed. */
export function leftView(
  limits: Limits,
  usage: Usage,
  ask: Ask,
  epsilon: () => number,
): Record<BudgetName, number | null> {
  const privacy = limits.privacy === null ? null : limits.privacy.epsilon - epsilon();
  return {
    money: limits.micros - usage.micros - ask.micros,
    deviceSeconds: limits.deviceSeconds - usage.deviceSeconds - ask.deviceSeconds,
    virtualTokens: limits.virtualTokens - usage.virtualTokens - ask.virtualTokens,
    concurrent: limits.concurrent - usage.concurrent - 1,
    daily: limits.daily - usage.daily - 1,
    privacy: privacy === null || !Number.isFinite(privacy) ? null : privacy,
  };
}

/** Delta at which a data set's epsilon is shown where privacy isn't limited and no prompt states one. */
const SHOWN_DELTA = 1e-5;

interface Inputs {
  readonly currency: string;
  readonly limits: Limits;
  readonly usage: Usage;
  /** By transfers. */
  readonly reserved: Ask;
  readonly tokens: { readonly used: TokenSums; readonly reserved: TokenSums; readonly prices: TokenPrices };
  readonly datasets: readonly { readonly dataset: string; readonly releases: readonly Release[] }[];
  /** Epsilon at a delta of a data set's releases. */
  readonly epsilonOf: (dataset: string, releases: readonly Release[], delta: number) => number;
  readonly now: number;
  readonly delta: number | undefined;
}

/** The tenant's budgets as the API shows them; `used` is what is spent for good, `reserved` what unfinished transfers and requests hold. */
export function budgetView(inputs: Inputs): Budget {
  const { currency, limits, usage, reserved, tokens, datasets, now } = inputs;
  const part = (limit: number, total: number, held: number) => ({ limit, used: total - held, reserved: held });
  return {
    currency,
    money: part(limits.micros, usage.micros, reserved.micros + tokens.reserved.micros),
    deviceSeconds: part(limits.deviceSeconds, usage.deviceSeconds, reserved.deviceSeconds),
    virtualTokens: part(limits.virtualTokens, usage.virtualTokens, reserved.virtualTokens),
    concurrent: { limit: limits.concurrent, used: usage.concurrent },
    daily: { limit: limits.daily, used: usage.daily, resets: new Date(nextDay(now)).toISOString() },
    privacy: {
      limit: limits.privacy,
      datasets: datasets.map(({ dataset, releases }) => datasetView(dataset, releases, inputs)),
    },
    inference: inferenceView(limits, tokens, now),
  };
}

function inferenceView(limits: Limits, { used, reserved, prices }: Inputs["tokens"], now: number): InferenceBudget {
  return {
    tokens: { limit: limits.tokens ?? 0, used: used.tokens, reserved: reserved.tokens },
    daily: {
      limit: limits.dailyTokens ?? null,
      used: used.dailyTokens,
      reserved: reserved.dailyTokens,
      resets: new Date(nextDay(now)).toISOString(),
    },
    micros: { used: used.micros, reserved: reserved.micros },
    prices,
  };
}

/** What was released from a data set: at the limit's delta, or else at the largest that a prompt states. */
function datasetView(dataset: string, releases: readonly Release[], { delta: limit, epsilonOf }: Inputs) {
  const stated = Math.max(...releases.map(({ privacy }) => privacy?.delta ?? 0));
  const delta = limit ?? (stated > 0 ? stated : SHOWN_DELTA);
  const epsilon = epsilonOf(dataset, releases, delta);
  return {
    dataset,
    prompts: releases.length,
    epsilon: Number.isFinite(epsilon) ? epsilon : null,
    delta,
    unit: composedUnit(releases.map(({ privacy }) => privacy)),
  };
}
