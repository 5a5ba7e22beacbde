import { type Command, Option } from "commander";
import { states, type Transfer } from "../../shared/protocol/transfer.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { describeTravel } from "../describe-travel.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";

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
    .action(async (id: string | undefined, { limit, createdAfter, ...options }: Options) => {
      const api = new Api(await connect(options));
      if (id === undefined) {
        const { state, student, dataset, cursor } = options;
        const named = { state, student, dataset, cursor, limit: limit?.toString(), created_after: createdAfter };
        const query = Object.entries(named).filter((each): each is [string, string] => each[1] !== undefined);
        const page = await api.transfers(Object.fromEntries(query));
        const more = page.has_more ? [`There are more: --cursor ${page.cursor}`] : [];
        io.result(page, [...page.transfers.map(describe), ...more].join("\n") || "No transfers yet.");
      } else {
        const transfer = await api.transfer(id);
        io.result(transfer, describe(transfer));
      }
    });
}

/** A transfer in a line. */
export function describe(transfer: Transfer): string {
  const { id, name, state, deleted, progress, problem, travel, advice } = transfer;
  const called = name === null ? id : `${id} (${name})`;
  const loss = progress?.loss === undefined ? "" : `, loss ${progress.loss.toPrecision(4)}`;
  const where = progress ? `, ${progress.phase} ${progress.done}/${progress.total}${loss}` : "";
  const measured = travel ? `, ${describeTravel(travel)}` : "";
  const more = [...(problem === null ? [] : [problem]), ...advice]
    .map((text) => `. ${text.replace(/\.$/, "")}`)
    .join("");
  return `${called}: ${state}${deleted === null ? "" : ", deleted"}${where}, ${describeCost(transfer)}${measured}${more}`;
}

function describeCost({ rate, device, estimatedSeconds, actualSeconds, cost }: Transfer): string {
  const price = (micros: number) => `${micros / 1e6} ${rate.currency}`;
  const on = `on ${device ?? rate.device} at ${price(rate.microsPerHour)} an hour`;
  if (!cost) return `estimated ${estimatedSeconds} s ${on}`;
  if (actualSeconds === null) return "no cost";
  return `${actualSeconds.toFixed(1)} s ${on} (estimated ${estimatedSeconds} s), ${cost.deviceSeconds} s paid: ${price(cost.micros)}`;
}
