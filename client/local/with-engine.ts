import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDevice } from "../../shared/graph/device.ts";
import { type Device, Engine } from "../../shared/graph/engine.ts";
import { removeRun } from "../../shared/training/run-state.ts";
import { holdRun } from "../hold-run.ts";
import { requireNoUnfinished } from "../out-folder.ts";
import { forgetRunId } from "../run-id.ts";

/** What a function computes with. */
export interface EngineOptions {
  /** Where models run; "cpu" unless told. */
  readonly device?: Device | undefined;
  /** CPU threads; all cores unless told. */
  readonly threads?: number | undefined;
}

/** Runs something with an engine, which is closed when it ends. @throws ProblemError if the device can't be used */
export async function withEngine<T>(
  { device = "cpu", threads }: EngineOptions,
  run: (engine: Engine) => Promise<T>,
): Promise<T> {
  await checkDevice(device);
  const engine = new Engine({ threads, device });
  try {
    return await run(engine);
  } finally {
    await engine.close();
  }
}

/** Where a run keeps its state, so that it can go on after it was stopped. */
export interface StateOptions {
  /** A file that is there only if the run goes on; without it the run can't be resumed. */
  readonly state?: string;
  /** Go on from there. */
  readonly resume?: boolean;
}

/**
 * Runs something with a file for its state, which is removed when it has finished.
 *
 * @throws ProblemError before it runs if another run has the file, or the file is there and the run doesn't go on
 */
export async function withState<T>(
  { state, resume = false }: StateOptions,
  run: (state: { readonly path: string; readonly resume: boolean }) => Promise<T>,
): Promise<T> {
  if (state === undefined) {
    const folder = await mkdtemp(join(tmpdir(), "softpost-run-"));
    try {
      return await run({ path: join(folder, "state"), resume: false });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  using _ = await holdRun(`${state}.lock`, state);
  if (!resume) await requireNoUnfinished(state, "resume: true");
  const result = await run({ path: state, resume });
  await removeRun(state);
  forgetRunId(state);
  return result;
}
