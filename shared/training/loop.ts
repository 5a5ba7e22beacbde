import type { Watch } from "./events.ts";

/** How often an undisturbed run writes its state, so that a crash costs no more than this. */
const SAVE_EVERY_MS = 60_000;

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
 * @throws InterruptedError if the signal aborts; the state is saved then
 */
export async function runSteps(
  { name, done, total, step, save }: Steps,
  { signal, onEvent, saveEvery = SAVE_EVERY_MS }: Watch,
): Promise<void> {
  onEvent?.({ kind: "phase", name, total, unit: "steps" });
  if (done > 0) onEvent?.({ kind: "note", text: `continuing after step ${done}` });
  let saved = Date.now();
  const checkpoint = async (step: number) => {
    if (!save) return;
    await save(step);
    onEvent?.({ kind: "checkpoint", step });
    saved = Date.now();
  };
  for (let index = done; index < total; index++) {
    if (signal?.aborted) {
      await checkpoint(index);
      throw new InterruptedError(index);
    }
    const loss = await step(index);
    onEvent?.({ kind: "progress", done: index + 1, loss });
    if (Date.now() - saved >= saveEvery) await checkpoint(index + 1);
  }
}
