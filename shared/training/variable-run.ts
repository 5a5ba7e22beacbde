import type { Engine, Value } from "../graph/engine.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { Watch } from "./events.ts";
import { runSteps } from "./loop.ts";
import { loadRun, type RunSettings, saveRun } from "./run-state.ts";

/** Losses whose mean is reported at the end. */
const REPORTED_STEPS = 50;

/** Where the state of an unfinished run is kept, and what makes it this run. */
export interface ResumableRun {
  readonly path: string;
  readonly settings: RunSettings;
  /** Go on from the state if there is one. */
  readonly resume: boolean;
}

/** A run whose whole state is variables of the engine. */
export interface VariableRun {
  readonly name: string;
  readonly engine: Engine;
  /** All variables of the run with their first values. */
  readonly variables: Readonly<Record<string, Value>>;
  readonly steps: number;
  readonly state: ResumableRun;
  /** Does step `index` (from 0), which updates the variables, and returns its loss. */
  step(index: number): Promise<number>;
}

/** The name of a run's losses beside its variables, in its state. */
const LOSSES = "run.losses";

/**
 * Sets the variables, from the saved state if the run goes on, and does all steps; the result is in the engine.
 * @returns the mean loss of the last steps
 * @throws InterruptedError when stopped, after the state was saved; ProblemError for a state of another run
 */
export async function runVariables(run: VariableRun, watch: Watch): Promise<number> {
  return reportedLoss(await lossesOfRun(run, watch));
}

/** The same. @returns the losses of all steps, also of those before the run was resumed */
export async function lossesOfRun(run: VariableRun, watch: Watch): Promise<Float32Array> {
  const { engine, state, steps } = run;
  const first = { ...run.variables, [LOSSES]: { shape: [steps], data: new Float32Array(steps) } };
  const before = state.resume ? await loadRun(state.path, state.settings) : undefined;
  if (before) requireVariables(before.variables, first, state.path);
  const { [LOSSES]: kept, ...variables } = before?.variables ?? first;
  const losses = kept!.data as Float32Array;
  await engine.set(variables);
  await runSteps(
    {
      name: run.name,
      done: before?.step ?? 0,
      total: steps,
      async step(index) {
        losses[index] = await run.step(index);
        return losses[index]!;
      },
      async save(step) {
        const now = { ...(await engine.get(Object.keys(run.variables))), [LOSSES]: { shape: [steps], data: losses } };
        await saveRun(state.path, state.settings, { step, variables: now });
      },
    },
    watch,
  );
  return losses;
}

/** The mean of the last losses, which is what is reported of a run. */
export function reportedLoss(losses: Float32Array): number {
  const last = losses.subarray(-REPORTED_STEPS);
  return last.reduce((a, b) => a + b, 0) / last.length;
}

/** A state that another release wrote may lack a variable or have more. */
function requireVariables(found: VariableRun["variables"], wanted: VariableRun["variables"], path: string): void {
  const list = (variables: VariableRun["variables"]) =>
    Object.entries(variables)
      .map(([name, { shape }]) => `${name} [${shape}]`)
      .sort()
      .join(", ");
  if (list(found) === list(wanted)) return;
  const detail = `${path} has ${list(found)}; this run has ${list(wanted)}. Start anew.`;
  throw new ProblemError("The run can't be resumed", detail, { status: 409 });
}
