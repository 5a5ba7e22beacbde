import { type Command, Option } from "commander";
import { states, transferPageSchema } from "../../shared/protocol/transfer.ts";
import { TRANSFER_HEAD, transferRow } from "../describe-transfer.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { tenantPath } from "./find-tenant.ts";

interface Options extends AdminOptions {
  readonly state?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** `softpost admin transfers`. */
export function registerTransfers(admin: Command, io: Io): void {
  withAdmin(admin.command("transfers"))
    .description("a tenant's transfers, newest first: which failed, and why")
    .argument("<tenant>", "id or name")
    .addOption(new Option("--state <state>", "those in this state").choices(states))
    .option("--limit <n>", "as many at most", wholeNumber(1))
    .option("--cursor <cursor>", "those after a page, by what it said")
    .action(async (tenant: string, { state, limit, cursor, ...options }: Options) => {
      const api = await adminApi(options, io);
      const named = Object.entries({ state, limit: limit?.toString(), cursor });
      const query = new URLSearchParams(named.filter((each): each is [string, string] => each[1] !== undefined));
      const page = await api.json(`${await tenantPath(api, tenant)}/transfers?${query}`, transferPageSchema);
      const more = page.has_more ? [`There are more: --cursor ${page.cursor}`] : [];
      const problems = page.transfers.flatMap(({ id, problem }) => (problem === null ? [] : [`${id}: ${problem}`]));
      const table = tableLines([TRANSFER_HEAD, ...page.transfers.map(transferRow)]);
      io.result(page, page.transfers.length > 0 ? [...table, ...problems, ...more].join("\n") : "No transfers.");
    });
}
