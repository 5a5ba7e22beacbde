import type { Engine } from "../shared/graph/engine.ts";
import type { TrainingEvent, Watch } from "../shared/training/events.ts";
import { InterruptedError } from "../shared/training/loop.ts";
import { withEngine } from "./local/with-engine.ts";
import { openMetrics } from "./metrics.ts";
import { type Io, StoppedError } from "./output.ts";
import { showProgress } from "./progress.ts";

/** A command that is asked to stop ends within two seconds, whatever it is in the middle of: this is left for saving. */
const PATIENCE_MS = 1500;

/** What a stopped command says: what is kept, and how to go on. @param step the last one that is saved, 0 for none */
export type WhenStopped = (step: number) => string;

/** Of a run that keeps its state. */
export const resumable: WhenStopped = (step) =>
  step > 0
    ? `Stopped after step ${step}, which is saved. The same command with --resume goes on from there.`
    : "Stopped before a step was saved. The same command with --resume begins it again.";

/** Of a command that writes when it has finished. */
export const nothingWritten: WhenStopped = () => "Stopped. Nothing was written; the same command begins anew.";

/**
 * Runs a long function with its progress on stderr and its losses in the --metrics file. The first Ctrl-C (or SIGTERM)
 * asks it to save its state and stop; what takes too long to stop, or is asked twice, ends with what was saved before.
 *
 * @throws StoppedError if it was stopped
 */
export async function longRun<T>(io: Io, whenStopped: WhenStopped, run: (watch: Watch) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const metrics = io.metrics === undefined ? undefined : openMetrics(io.metrics);
  const progress = showProgress(io.stderr);
  io.showBeside({
    note: (text) => progress.onEvent({ kind: "note", text }),
    makeRoom: () => progress.makeRoom(),
  });
  let saved = 0;
  let patience: NodeJS.Timeout | undefined;
  const end = () => {
    clearTimeout(patience);
    progress.stop();
    io.showBeside(undefined);
    metrics?.close();
  };
  const giveUp = () => {
    end();
    io.message(whenStopped(saved));
    process.exit(130);
  };
  const interrupt = () => {
    if (abort.signal.aborted) giveUp();
    abort.abort();
    patience = setTimeout(giveUp, PATIENCE_MS);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  try {
    const onEvent = (event: TrainingEvent) => {
      if (event.kind === "checkpoint") saved = event.step;
      progress.onEvent(event);
      metrics?.onEvent(event);
    };
    return await run({ signal: abort.signal, onEvent });
  } catch (error) {
    if (error instanceof InterruptedError) saved = Math.max(saved, error.step);
    throw abort.signal.aborted ? new StoppedError(whenStopped(saved)) : error;
  } finally {
    end();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
  }
}

/** A long run with an engine of its own, which is closed when it ends. */
export function engineRun<T>(
  io: Io,
  whenStopped: WhenStopped,
  run: (engine: Engine, watch: Watch) => Promise<T>,
): Promise<T> {
  const { threads, device } = io;
  return longRun(io, whenStopped, (watch) => withEngine({ threads, device }, (engine) => run(engine, watch)));
}
