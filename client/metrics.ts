import { closeSync, openSync } from "node:fs";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { TrainingEvent } from "../shared/training/events.ts";
import { writeAll } from "./whole-file.ts";

export interface Metrics {
  onEvent(event: TrainingEvent): void;
  close(): void;
}

/**
 * Appends a line `{"phase", "step", "loss"}` to a file for every event that has a loss; a new file is for its user's eyes only.
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
      writeAll(file, Buffer.from(`${JSON.stringify({ phase, step: event.done, loss: event.loss })}\n`));
    },
    close: () => closeSync(file),
  };
}

function open(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (cause) {
    const detail = `--metrics ${path} can't be written (${(cause as NodeJS.ErrnoException).code}).`;
    throw new ProblemError("The metrics can't be written", detail, { cause });
  }
}
