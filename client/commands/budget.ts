import type { Command } from "commander";
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
  const { money, deviceSeconds, virtualTokens, concurrent, daily, privacy } = budget;
  const part = (name: string, { limit, used, reserved }: typeof money, scale = 1) =>
    `${name}: ${used / scale} spent, ${reserved / scale} reserved, ${(limit - used - reserved) / scale} left`;
  const lines = [
    part(`money (${budget.currency})`, money, 1e6),
    part("device seconds", deviceSeconds),
    part("virtual tokens", virtualTokens),
    `unfinished transfers: ${concurrent.used} of ${concurrent.limit}`,
    `transfers today: ${daily.used} of ${daily.limit}`,
    ...privacy.datasets.map(({ dataset, prompts, epsilon, delta }) => {
      const total = epsilon === null ? "not private" : `epsilon ${epsilon.toPrecision(4)} at delta ${delta}`;
      return `data set ${dataset}: ${prompts} prompts, ${total}${privacy.limit ? `, limit ${privacy.limit.epsilon}` : ""}`;
    }),
  ];
  io.result(budget, lines.join("\n"));
}
