import type { Command } from "commander";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type Progress, transferSchema } from "../../shared/protocol/transfer.ts";
import type { TrainingEvent } from "../../shared/training/events.ts";
import { Api, transferPath } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { follow } from "../api/events.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { describe } from "./status.ts";

/** `softpost wait`: follows a transfer to its end, and fails if the transfer does. */
export function registerWait(program: Command, io: Io): void {
  withConnection(program.command("wait"))
    .description("follow a transfer until it has finished")
    .argument("<id>", "the transfer")
    .action((id: string, options: ConnectionOptions) => run(id, options, io));
}

async function run(id: string, options: ConnectionOptions, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const transfer = await longRun(io, ({ signal, onEvent }) => {
    const show = onEvent && progressEvents(onEvent);
    return follow(api, transferPath(id), transferSchema, ({ progress }) => progress && show?.(progress), signal);
  });
  if (transfer.state !== "succeeded") {
    throw new ProblemError(
      `The transfer ${transfer.state === "failed" ? "failed" : "was cancelled"}`,
      describe(transfer),
    );
  }
  io.result(transfer, `${describe(transfer)}. Next: softpost download ${id} --out DIR`);
}

/** Turns a transfer's progress into the events that the progress display understands. */
export function progressEvents(onEvent: (event: TrainingEvent) => void): (progress: Progress) => void {
  let phase: string | undefined;
  return ({ phase: name, done, total, loss }) => {
    if (name !== phase) onEvent({ kind: "phase", name, total, unit: "steps" });
    phase = name;
    onEvent({ kind: "progress", done, ...(loss !== undefined && { loss }) });
  };
}
