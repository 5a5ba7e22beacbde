import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { describeTransfer } from "../describe-transfer.ts";
import type { Io } from "../output.ts";

const NOTES = `
What was computed until then is paid for. The prompt is at the provider already: its part of the data set's privacy budget stays spent.

Example:
  softpost cancel ID

Next: softpost budget`;

/** `softpost cancel`: stops a transfer. */
export function registerCancel(program: Command, io: Io): void {
  withConnection(program.command("cancel"))
    .description("cancel a transfer; what was set aside for it and not used is given back")
    .argument("<id>", "the transfer")
    .addHelpText("after", NOTES)
    .action(async (id: string, options: ConnectionOptions) => {
      const transfer = await new Api(await connect(options)).cancel(id);
      const late = transfer.state === "succeeded" || transfer.state === "failed";
      const done = late ? ["It had ended before: nothing was cancelled."] : [];
      const privacy = "The provider has the prompt: what it spent of the data set's privacy budget stays spent.";
      io.result(transfer, [...done, ...describeTransfer(transfer), privacy].join("\n"));
    });
}
