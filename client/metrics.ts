import { closeSync, openSync, writeSync } from "node:fs";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { TrainingEvent } from "../shared/training/events.ts";

export interface Metrics {
  onEvent(event: TrainingEvent): void;
  close(): void;
}

/**
 * Appends a line `{"phase", "step", "loss"}` to a file for every event that has a loss.
 *
 * @throws ProblemError at once if the file can't be written, before any work is lost
 */
export function openMetrics(path: string): Metrics {
  const file = open(path);
  let phase = "";
  return {
    onEvent(event) {
      if (event.kind === "phase") phase = event.name;
      if (event.kind !== "progress" || event.loss === undefined) return;
      writeSync(file, `${JSON.stringify({ phase, step: event.done, loss: event.loss })}\n`);
    },
    close: () => closeSync(file),
  };
}

function open(path: string): number {
  try {
    return openSync(path, "a");
  } catch (cause) {
    const detail = `--metrics ${path} can't be written (${(cause as NodeJS.ErrnoException).code}).`;
    throw new ProblemError("The metrics can't be written", detail, { cause });
  }
}
