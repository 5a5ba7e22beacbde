import type { Command } from "commander";
import { EXAMPLE } from "../../shared/privacy/unit.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import type { InferenceBudget } from "../../shared/protocol/metering.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";
import { count, duration, money, short } from "../words.ts";

const EXAMPLE_TEXT = `
Example:
  softpost budget

Next: softpost quote (what a transfer would leave)`;

/** `softpost budget`: what is spent, reserved and left. */
export function registerBudget(program: Command, io: Io): void {
  withConnection(program.command("budget"))
    .description("show what is spent, set aside and left of every budget")
    .addHelpText("after", EXAMPLE_TEXT)
    .action((options: ConnectionOptions) => run(options, io));
}

async function run(options: ConnectionOptions, io: Io): Promise<void> {
  const budget = await new Api(await connect(options)).budget();
  const { currency, money: micros, deviceSeconds, virtualTokens, concurrent, daily, privacy, inference } = budget;
  const part = (name: string, { limit, used, reserved }: typeof micros, shown: (value: number) => string) => [
    name,
    shown(used),
    shown(reserved),
    shown(limit - used - reserved),
  ];
  const table = tableLines([
    ["BUDGET", "spent", "set aside", "left"],
    part("money", micros, (value) => money(value, currency)),
    part("device time", deviceSeconds, duration),
    part("virtual tokens", virtualTokens, String),
    ["transfers at one time", String(concurrent.used), "", String(concurrent.limit - concurrent.used)],
    ["transfers today", String(daily.used), "", String(daily.limit - daily.used)],
    ...(inference ? inferenceRows(inference) : []),
  ]);
  const lines = privacy.datasets.map((dataset) => privacyLine(dataset, privacy.limit));
  io.result(
    budget,
    [
      ...table,
      "",
      ...(inference ? [inferencePrice(inference, currency)] : []),
      ...(lines.length > 0 ? lines : ["No prompt was released yet, so no privacy is spent."]),
    ].join("\n"),
  );
}

/** Tokens that were sent to models and that they made. */
function inferenceRows({ tokens, daily }: InferenceBudget): string[][] {
  const part = (name: string, limit: number, { used, reserved }: { used: number; reserved: number }) => [
    name,
    String(used),
    String(reserved),
    String(Math.max(0, limit - used - reserved)),
  ];
  const today = daily.limit === null ? [] : [part("tokens today", daily.limit, daily)];
  return [part("tokens of models", tokens.limit, tokens), ...today];
}

function inferencePrice({ micros, prices }: InferenceBudget, currency: string): string {
  return `Of the money, models took ${money(micros.used, currency)}: a million tokens of texts cost ${money(prices.promptMicros, currency)}, of answers ${money(prices.completionMicros, currency)}.`;
}

type Privacy = Budget["privacy"];

/** What was released of a data set, and what may be. */
export function privacyLine(
  { dataset, prompts, epsilon, delta, unit = EXAMPLE }: Privacy["datasets"][number],
  limit: Privacy["limit"],
): string {
  const total =
    epsilon === null
      ? "without a guarantee, since not all were tuned with differential privacy"
      : `ε ${short(epsilon)} at δ ${short(delta)} for ${unit}`;
  const allowed = limit ? `the limit is ε ${limit.epsilon} at δ ${short(limit.delta)}` : "no limit is set";
  return `Privacy of data set ${dataset}: ${count(prompts, "prompt")}, ${total}; ${allowed}`;
}
