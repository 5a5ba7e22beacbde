import { ProblemError } from "../protocol/errors.ts";
import type { Watch } from "./events.ts";

/** How often an undisturbed run writes its state, so that a crash costs no more than this. */
const SAVE_EVERY_MS = 60_000;

/** What a run says once that can't be saved: a disk that is full now is no reason to lose what was computed, or paid for. */
const UNSAVED = "The run goes on, and is saved again when that can be done.";

/** A run was stopped by its signal, after its state was saved. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  readonly step: number;

  constructor(step: number) {
    super(`stopped after step ${step}`);
    this.step = step;
  }
}

export interface Steps {
  /** Name of the phase, for whoever watches. */
  readonly name: string;
  /** Steps that an earlier run has done. */
  readonly done: number;
  readonly total: number;
  /** Does step `index` (from 0) and returns its loss. */
  step(index: number): Promise<number>;
  /** Writes the state after so many steps; left out for a run that can't be resumed. */
  save?(done: number): Promise<void>;
}

/**
 * Runs steps one after the other, tells of every one, saves now and then and when stopped.
 * @throws InterruptedError if the signal aborts, with the last step that could be saved; that is the newest unless the disk refuses it
 */
export async function runSteps(
  { name, done, total, step, save }: Steps,
  { signal, onEvent, saveEvery = SAVE_EVERY_MS }: Watch,
): Promise<void> {
  onEvent?.({ kind: "phase", name, total, unit: "steps" });
  if (done > 0) onEvent?.({ kind: "note", text: `continuing after step ${done}` });
  let [kept, saved, isTold] = [done, Date.now(), false];
  const checkpoint = async (step: number) => {
    try {
      await save?.(step);
      if (save) onEvent?.({ kind: "checkpoint", step });
      kept = step;
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      if (!isTold) onEvent?.({ kind: "note", text: `${error.title}: ${error.detail} ${UNSAVED}` });
      isTold = true;
    }
    saved = Date.now();
  };
  for (let index = done; index < total; index++) {
    if (signal?.aborted) {
      await checkpoint(index);
      throw new InterruptedError(kept);
    }
    const loss = await step(index);
    onEvent?.({ kind: "progress", done: index + 1, loss });
    if (Date.now() - saved >= saveEvery) await checkpoint(index + 1);
  }
}
