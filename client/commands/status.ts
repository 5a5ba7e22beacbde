import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { describeTransfer, TRANSFER_HEAD, transferRow } from "../describe-transfer.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";

const EXAMPLES = `
Examples:
  softpost status        # the newest transfers
  softpost status ID

Next: softpost wait ID (follows it), softpost download ID --out DIR (when it has succeeded)`;

/** `softpost status`: one transfer, or all of them. */
export function registerStatus(program: Command, io: Io): void {
  withConnection(program.command("status"))
    .description("show a transfer, or the newest ones")
    .argument("[id]", "the transfer")
    .addHelpText("after", EXAMPLES)
    .action(async (id: string | undefined, options: ConnectionOptions) => {
      const api = new Api(await connect(options));
      if (id === undefined) {
        const transfers = await api.transfers();
        const table = tableLines([TRANSFER_HEAD, ...transfers.map(transferRow)]);
        io.result(
          { transfers },
          transfers.length > 0 ? table.join("\n") : "No transfers yet. softpost submit sends one.",
        );
      } else {
        const transfer = await api.transfer(id);
        io.result(transfer, describeTransfer(transfer).join("\n"));
      }
    });
}
