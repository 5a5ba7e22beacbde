import { type Command, Option } from "commander";
import { states } from "../../shared/protocol/transfer.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { describeTransfer, TRANSFER_HEAD, transferRow } from "../describe-transfer.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";

const EXAMPLES = `
Examples:
  softpost status        # the newest transfers
  softpost status ID

Next: softpost wait ID (follows it), softpost download ID --out DIR (when it has succeeded)`;

interface Options extends ConnectionOptions {
  readonly state?: string;
  readonly student?: string;
  readonly dataset?: string;
  readonly createdAfter?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** `softpost status`: one transfer, or all of them. */
export function registerStatus(program: Command, io: Io): void {
  withConnection(program.command("status"))
    .description("show a transfer, or the newest ones")
    .argument("[id]", "the transfer")
    .addOption(new Option("--state <state>", "those in this state").choices(states))
    .option("--student <name>", "those of this student")
    .option("--dataset <id>", "those from this data set")
    .option("--created-after <time>", "those that are newer, such as 2026-11-30T09:00:00Z")
    .option("--limit <n>", "as many at most", wholeNumber(1))
    .option("--cursor <cursor>", "those after a page, by what it said")
    .addHelpText("after", EXAMPLES)
    .action(async (id: string | undefined, { limit, createdAfter, ...options }: Options) => {
      const api = new Api(await connect(options));
      if (id === undefined) {
        const { state, student, dataset, cursor } = options;
        const named = { state, student, dataset, cursor, limit: limit?.toString(), created_after: createdAfter };
        const query = Object.entries(named).filter((each): each is [string, string] => each[1] !== undefined);
        const page = await api.transfers(Object.fromEntries(query));
        const more = page.has_more ? [`There are more: --cursor ${page.cursor}`] : [];
        const table = tableLines([TRANSFER_HEAD, ...page.transfers.map(transferRow)]);
        io.result(
          page,
          page.transfers.length > 0 ? [...table, ...more].join("\n") : "No such transfers. softpost submit sends one.",
        );
      } else {
        const transfer = await api.transfer(id);
        io.result(transfer, describeTransfer(transfer).join("\n"));
      }
    });
}
