import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";
import { describe } from "./status.ts";

/** `softpost cancel`: stops a transfer. */
export function registerCancel(program: Command, io: Io): void {
  withConnection(program.command("cancel"))
    .description("cancel a transfer; what was reserved for it is refunded")
    .argument("<id>", "the transfer")
    .action(async (id: string, options: ConnectionOptions) => {
      const transfer = await new Api(await connect(options)).cancel(id);
      io.result(transfer, describe(transfer));
    });
}
