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

/**
 * Sets the variables, from the saved state if the run goes on, and does all steps; the result is in the engine.
 * @returns the mean loss of the last steps, NaN if there were none to do
 * @throws InterruptedError when stopped, after the state was saved; ProblemError for a state of another run
 */
export async function runVariables(run: VariableRun, watch: Watch): Promise<number> {
  const { engine, state } = run;
  const before = state.resume ? await loadRun(state.path, state.settings) : undefined;
  if (before) requireVariables(before.variables, run.variables, state.path);
  await engine.set(before?.variables ?? run.variables);
  const losses: number[] = [];
  await runSteps(
    {
      name: run.name,
      done: before?.step ?? 0,
      total: run.steps,
      async step(index) {
        const loss = await run.step(index);
        losses.push(loss);
        if (losses.length > REPORTED_STEPS) losses.shift();
        return loss;
      },
      async save(step) {
        await saveRun(state.path, state.settings, { step, variables: await engine.get(Object.keys(run.variables)) });
      },
    },
    watch,
  );
  return losses.reduce((a, b) => a + b, 0) / losses.length;
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
