import type { Command } from "commander";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";
import { describeTravel } from "./transfer.ts";

/** `softpost status`: one transfer, or all of them. */
export function registerStatus(program: Command, io: Io): void {
  withConnection(program.command("status"))
    .description("show a transfer, or the newest ones")
    .argument("[id]", "the transfer")
    .action(async (id: string | undefined, options: ConnectionOptions) => {
      const api = new Api(await connect(options));
      if (id === undefined) {
        const transfers = await api.transfers();
        io.result({ transfers }, transfers.map(describe).join("\n") || "No transfers yet.");
      } else {
        const transfer = await api.transfer(id);
        io.result(transfer, describe(transfer));
      }
    });
}

/** A transfer in a line. */
export function describe(transfer: Transfer): string {
  const { id, state, progress, problem, travel, advice } = transfer;
  const loss = progress?.loss === undefined ? "" : `, loss ${progress.loss.toPrecision(4)}`;
  const where = progress ? `, ${progress.phase} ${progress.done}/${progress.total}${loss}` : "";
  const measured = travel ? `, ${describeTravel(travel)}` : "";
  const more = [...(problem === null ? [] : [problem]), ...advice]
    .map((text) => `. ${text.replace(/\.$/, "")}`)
    .join("");
  return `${id}: ${state}${where}, ${describeCost(transfer)}${measured}${more}`;
}

function describeCost({ rate, estimatedSeconds, actualSeconds, cost }: Transfer): string {
  const price = (micros: number) => `${micros / 1e6} ${rate.currency}`;
  const on = `on ${rate.device} at ${price(rate.microsPerHour)} an hour`;
  if (!cost) return `estimated ${estimatedSeconds} s ${on}`;
  if (actualSeconds === null) return "no cost";
  return `${actualSeconds.toFixed(1)} s ${on} (estimated ${estimatedSeconds} s), ${cost.deviceSeconds} s paid: ${price(cost.micros)}`;
}
