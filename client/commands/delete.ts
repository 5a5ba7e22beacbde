import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";

/** `softpost delete`: removes a transfer's prompt and files from the provider. */
export function registerDelete(program: Command, io: Io): void {
  withConnection(program.command("delete"))
    .description("delete a transfer's prompt and files at the provider; one that is not finished is cancelled first")
    .argument("<id>", "the transfer")
    .addHelpText("after", "\nExample:\n  softpost delete ID\n\nNext: softpost budget (what it cost stays spent)")
    .action(async (id: string, options: ConnectionOptions) => {
      const transfer = await new Api(await connect(options)).remove(id);
      const { state, cost, rate } = transfer;
      const kept = `Kept: what it cost (${(cost?.micros ?? 0) / 1e6} ${rate.currency}), and that its prompt was released, which counts against its data set's privacy.`;
      const ended =
        cost === null ? `it is ${state}, and its files go as soon as it has ended` : "its prompt and files are deleted";
      io.result(transfer, `${id}: ${ended}. ${kept}`);
    });
}
