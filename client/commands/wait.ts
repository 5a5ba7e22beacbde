import type { Command } from "commander";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Progress, State } from "../../shared/protocol/transfer.ts";
import type { TrainingEvent } from "../../shared/training/events.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { follow } from "../api/events.ts";
import { describeTransfer } from "../describe-transfer.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";

const EXAMPLE = `
Ctrl-C stops watching, not the transfer.

Example:
  softpost wait ID

Next: softpost download ID --out DIR`;

/** `softpost wait`: follows a transfer to its end, and fails if the transfer does. */
export function registerWait(program: Command, io: Io): void {
  withConnection(program.command("wait"))
    .description("follow a transfer until it has finished")
    .argument("<id>", "the transfer")
    .addHelpText("after", EXAMPLE)
    .action((id: string, options: ConnectionOptions) => run(id, options, io));
}

async function run(id: string, options: ConnectionOptions, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const transfer = await longRun(
    io,
    () => `Stopped watching; the transfer goes on. To watch again: softpost wait ${id}`,
    ({ signal, onEvent }) => {
      const show = onEvent && progressEvents(onEvent);
      return follow(api.wait(id, { signal }), (change) => show?.(change));
    },
  );
  if (transfer.state !== "succeeded") {
    throw new ProblemError(
      `The transfer ${transfer.state === "failed" ? "failed" : "was cancelled"}`,
      describeTransfer(transfer).join("\n"),
    );
  }
  io.result(transfer, describeTransfer(transfer).join("\n"));
}

/** What of a job's progress is shown. */
interface Shown {
  readonly id: string;
  readonly progress: Progress | null;
  readonly state: State;
}

/** Turns a job's progress into the events that the progress display understands. */
export function progressEvents(onEvent: (event: TrainingEvent) => void): (job: Shown) => void {
  let last: Progress | undefined;
  let told: string | undefined;
  // Reports come now and then: a phase that another one follows has come to its end since the last one.
  const finish = () => last && onEvent({ kind: "progress", done: last.total });
  return ({ id, progress, state }) => {
    if (!progress && state !== told) onEvent({ kind: "note", text: `${id} is ${state}` });
    told = state;
    if (progress) {
      const { phase: name, done, total, unit = "steps", loss } = progress;
      if (name !== last?.phase) {
        finish();
        onEvent({ kind: "phase", name, total, unit });
      }
      last = progress;
      onEvent({ kind: "progress", done, ...(loss !== undefined && { loss }) });
    }
    if (state === "succeeded") finish();
  };
}
