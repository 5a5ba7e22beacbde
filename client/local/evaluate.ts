import type { Data } from "../../shared/data/jsonl.ts";
import { evaluateRows, type TaskEvaluation } from "../../shared/operations/evaluate.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import type { SoftPrompt } from "../../shared/operations/soft-prompt.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import type { Watch } from "../../shared/training/events.ts";
import { requireNumbers } from "../number-rules.ts";
import { type GivenTask, sayTo, taskFor } from "./task.ts";
import { type EngineOptions, withEngine } from "./with-engine.ts";

export interface EvaluateOptions extends EngineOptions {
  readonly model: OpenModel;
  /** Rows with labels or targets. */
  readonly data: Data;
  /** Without one the model alone is measured. */
  readonly prompt?: SoftPrompt | undefined;
  /** The prompt's, unless told. */
  readonly task?: GivenTask;
}

/**
 * Measures how well a model does a task, with a soft prompt or without one.
 *
 * @throws ProblemError for rows or a task that can't be used; InterruptedError when stopped
 */
export async function evaluate(options: EvaluateOptions, watch: Watch = {}): Promise<TaskEvaluation> {
  requireNumbers(options);
  const { model, data, prompt } = options;
  const task = await taskFor(options.task, prompt);
  const rows = await encodedRows(data, task, model, sayTo(watch));
  return withEngine(options, (engine) => evaluateRows({ model, prompt: prompt?.value }, rows, engine, watch));
}
