import type { Command } from "commander";
import { EXAMPLE } from "../../shared/privacy/unit.ts";
import type { InferenceBudget } from "../../shared/protocol/metering.ts";
import type { Budget } from "../../shared/protocol/transfer.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";

/** `softpost budget`: what is spent, reserved and left. */
export function registerBudget(program: Command, io: Io): void {
  withConnection(program.command("budget"))
    .description("show what is spent, reserved and left of every budget")
    .action((options: ConnectionOptions) => run(options, io));
}

async function run(options: ConnectionOptions, io: Io): Promise<void> {
  const budget = await new Api(await connect(options)).budget();
  const { money, deviceSeconds, virtualTokens, concurrent, daily, privacy, inference } = budget;
  const part = (name: string, { limit, used, reserved }: typeof money, scale = 1) =>
    `${name}: ${used / scale} spent, ${reserved / scale} reserved, ${(limit - used - reserved) / scale} left`;
  const lines = [
    part(`money (${budget.currency})`, money, 1e6),
    part("device seconds", deviceSeconds),
    part("virtual tokens", virtualTokens),
    `unfinished transfers: ${concurrent.used} of ${concurrent.limit}`,
    `transfers today: ${daily.used} of ${daily.limit}`,
    ...(inference ? inferenceLines(inference, budget.currency) : []),
    ...privacy.datasets.map((dataset) => privacyLine(dataset, privacy.limit)),
  ];
  io.result(budget, lines.join("\n"));
}

function inferenceLines({ tokens, daily, micros, prices }: InferenceBudget, currency: string): string[] {
  const left = (limit: number, { used, reserved }: { used: number; reserved: number }) =>
    `${used} used, ${reserved} reserved, ${Math.max(0, limit - used - reserved)} left`;
  const price = `${prices.promptMicros / 1e6} and ${prices.completionMicros / 1e6} ${currency} a million of prompts and completions`;
  return [
    `tokens: ${left(tokens.limit, tokens)}; ${micros.used / 1e6} ${currency} spent, at ${price}`,
    ...(daily.limit === null ? [] : [`tokens today: ${left(daily.limit, daily)}`]),
  ];
}

type Privacy = Budget["privacy"];

/** What was released of a data set, and what may be. */
export function privacyLine(
  { dataset, prompts, epsilon, delta, unit = EXAMPLE }: Privacy["datasets"][number],
  limit: Privacy["limit"],
): string {
  const count = prompts === 1 ? "1 prompt" : `${prompts} prompts`;
  const total =
    epsilon === null
      ? "without a guarantee, since not all were tuned with differential privacy"
      : `epsilon ${epsilon.toPrecision(4)} at delta ${delta} for ${unit}`;
  const allowed = limit ? `the limit is epsilon ${limit.epsilon} at delta ${limit.delta}` : "no limit is set";
  return `data set ${dataset}: ${count}, ${total}; ${allowed}`;
}
