import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { connect, withConnection } from "../api/connection.ts";
import { readTunedPrompt } from "../api/tuned-prompt.ts";
import type { Io } from "../output.ts";
import { type TransferFlags, transferOptions, withTransferFlags } from "./submit.ts";

/** `softpost quote`: what a transfer would cost. Only the manifest is sent, not the prompt. */
export function registerQuote(program: Command, io: Io): void {
  withTransferFlags(withConnection(program.command("quote")))
    .description("ask what a transfer would cost and whether the budgets allow it")
    .action((flags: TransferFlags) => run(flags, io));
}

async function run(flags: TransferFlags, io: Io): Promise<void> {
  const api = new Api(await connect(flags));
  const { manifest } = await readTunedPrompt(flags.prompt, api);
  const quote = await api.quote({ manifest, options: transferOptions(flags) });
  const { rate, estimate, reserve, model, refusals } = quote;
  const price = (micros: number) => `${micros / 1e6} ${rate.currency}`;
  const lines = [
    `About ${estimate.deviceSeconds} s on ${rate.device} at ${price(rate.microsPerHour)} an hour: ${price(estimate.micros)}.`,
    `At most ${reserve.deviceSeconds} s are reserved and paid for: ${price(reserve.micros)}.`,
    model.finishedJobs > 0
      ? `Calibrated from ${model.finishedJobs} finished jobs: ${Math.round(model.tokensPerSecond)} positions a second.`
      : "No job has finished yet, so the speed is the provider's assumption.",
    ...refusals.map(({ message }) => `It would be refused. ${message}`),
  ];
  io.result(quote, lines.join("\n"));
}
