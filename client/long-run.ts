import { checkDevice } from "../shared/graph/device.ts";
import { Engine } from "../shared/graph/engine.ts";
import type { TrainingEvent, Watch } from "../shared/training/events.ts";
import { openMetrics } from "./metrics.ts";
import type { Io } from "./output.ts";
import { showProgress } from "./progress.ts";

/**
 * Runs a long function with its progress on stderr and its losses in the --metrics file. The first Ctrl-C (or SIGTERM)
 * asks it to save its state and stop; a second one ends the program at once.
 */
export async function longRun<T>(io: Io, run: (watch: Watch) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const metrics = io.metrics === undefined ? undefined : openMetrics(io.metrics);
  const progress = showProgress(io.stderr);
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    progress.onEvent({ kind: "note", text: "Stopping after this step; once more to stop at once." });
    abort.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  try {
    const onEvent = (event: TrainingEvent) => {
      progress.onEvent(event);
      metrics?.onEvent(event);
    };
    return await run({ signal: abort.signal, onEvent });
  } finally {
    progress.stop();
    metrics?.close();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
  }
}

/** A long run with an engine of its own, which is closed when it ends. */
export function engineRun<T>(io: Io, run: (engine: Engine, watch: Watch) => Promise<T>): Promise<T> {
  return longRun(io, async (watch) => {
    await checkDevice(io.device);
    const engine = new Engine({ threads: io.threads, device: io.device });
    try {
      return await run(engine, watch);
    } finally {
      await engine.close();
    }
  });
}
