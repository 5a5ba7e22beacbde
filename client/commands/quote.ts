import type { Command } from "commander";
import type { Quote } from "../../shared/protocol/transfer.ts";
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
  const { rate, estimate, range, precision, reserve, model, refusals, inference } = quote;
  const price = (micros: number) => `${micros / 1e6} ${rate.currency}`;
  const lines = [
    `About ${estimate.deviceSeconds} s on ${rate.device} at ${price(rate.microsPerHour)} an hour: ${price(estimate.micros)}.`,
    ...(range && range.low.deviceSeconds < range.high.deviceSeconds
      ? [`Between ${price(range.low.micros)} and ${price(range.high.micros)}: ${describeDevices(model.devices)}.`]
      : []),
    ...(precision === "fp16" ? ["It is computed in half precision."] : []),
    `At most ${reserve.deviceSeconds} s are reserved and paid for: ${price(reserve.micros)}.`,
    model.finishedJobs > 0
      ? `Calibrated from ${model.finishedJobs} finished jobs: ${Math.round(model.tokensPerSecond)} positions a second.`
      : "No job has finished yet, so the speed is the provider's assumption.",
    ...(inference
      ? [
          `Used at the provider, a million tokens of prompts cost ${price(inference.prices.promptMicros)} and of completions ${price(inference.prices.completionMicros)}; ${inference.tokensLeft} tokens are left.`,
        ]
      : []),
    ...refusals.map(({ message }) => `It would be refused. ${message}`),
  ];
  io.result(quote, lines.join("\n"));
}

function describeDevices(devices: Quote["model"]["devices"]): string {
  return devices
    .map(({ device, tokensPerSecond }) => `${device} ${Math.round(tokensPerSecond)} positions/s`)
    .join(", ");
}
