import type { BudgetName } from "../shared/protocol/budget.ts";
import type { Quote } from "../shared/protocol/quote.ts";
import type { Task } from "../shared/protocol/task.ts";
import { lossFor } from "../shared/protocol/transfer-fit.ts";
import { AUTO, type TransferOptions } from "../shared/protocol/transfer-options.ts";
import { count, duration, money, short } from "./words.ts";

/** How a transfer will be done, in a line. */
export function describeOptions(options: TransferOptions, task: Task): string {
  const { steps, batchSize, learningRate, starts, selected, publicSet, alternatives } = options;
  const loss = lossFor(task, options.loss);
  const texts = selected === null ? "" : `, ${selected} texts chosen of it`;
  const set =
    publicSet === AUTO
      ? "the public set that ranks best"
      : alternatives
        ? `that of ${[publicSet, ...alternatives].join(", ")} which ranks best`
        : publicSet;
  return (
    `Transfer: ${count(steps, "step")} of ${count(batchSize, "text")} of ${set}${texts}, learning rate ${learningRate}, ` +
    `loss on ${loss === "classes" ? "class distributions" : "whole vocabularies"}, started from the ${starts.join(" and the ")}`
  );
}

/** What a transfer takes and costs, what is set aside for it, and what the budgets keep. */
export function describeQuote(quote: Quote, dataset: string): string[] {
  const { rate, estimate, range, precision, weights, reserve, model, inference } = quote;
  const price = (micros: number) => money(micros, rate.currency);
  const spread = range && range.low.deviceSeconds < range.high.deviceSeconds;
  const known =
    model.finishedJobs > 0
      ? `measured on ${count(model.finishedJobs, "finished transfer")}`
      : "the provider's assumption, since no transfer has finished yet";
  return [
    `Time: about ${duration(estimate.deviceSeconds)} on ${rate.device}${precision === "fp16" ? " in half precision" : ""}${weights === "fp32" ? "" : `, weights in ${weights}`} (${known})`,
    `Cost: about ${price(estimate.micros)}${spread ? `, ${price(range.low.micros)} to ${price(range.high.micros)} by device` : ""} (${price(rate.microsPerHour)} an hour)`,
    `Set aside until it has finished, and the most that it can cost: ${price(reserve.micros)} (${duration(reserve.deviceSeconds)})`,
    `Budgets then: ${describeLeft(quote, dataset)}`,
    ...(inference
      ? [
          `Used at the provider afterwards: ${price(inference.prices.promptMicros)} a million tokens of texts, ${price(inference.prices.completionMicros)} of answers; ${count(inference.tokensLeft, "token")} left`,
        ]
      : []),
  ];
}

/** What would be left of each budget, or by how much it would be passed. */
function describeLeft({ left, rate, privacyUnit }: Quote, dataset: string): string {
  const amounts: Readonly<Record<BudgetName, (value: number) => string>> = {
    money: (micros) => money(micros, rate.currency),
    deviceSeconds: (seconds) => `${duration(seconds)} of device time`,
    virtualTokens: (tokens) => count(tokens, "virtual token"),
    concurrent: (transfers) => `${count(transfers, "transfer")} at one time`,
    daily: (transfers) => `${count(transfers, "transfer")} today`,
    privacy: (epsilon) => `ε ${short(epsilon)} for data set ${dataset}${privacyUnit ? ` (of ${privacyUnit})` : ""}`,
  };
  const known = (Object.keys(amounts) as BudgetName[]).flatMap((name) => {
    const value = left[name];
    return typeof value === "number" ? [{ text: amounts[name](Math.abs(value)), isEnough: value >= 0 }] : [];
  });
  const texts = (isEnough: boolean) => known.filter((each) => each.isEnough === isEnough).map(({ text }) => text);
  const [enough, missing] = [texts(true), texts(false)];
  return [
    ...(missing.length > 0 ? [`${missing.join(", ")} MISSING`] : []),
    ...(enough.length > 0 ? [`${enough.join(", ")} left`] : []),
    ...(left.privacy === null ? [`no privacy limit for data set ${dataset}`] : []),
  ].join("; ");
}
