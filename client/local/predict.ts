import type { OpenModel } from "../../shared/operations/open-model.ts";
import { type Prediction, predictRows } from "../../shared/operations/predict.ts";
import type { SoftPrompt } from "../../shared/operations/soft-prompt.ts";
import { encodeTexts } from "../../shared/operations/texts.ts";
import type { Answer } from "../../shared/training/answer.ts";
import type { Watch } from "../../shared/training/events.ts";
import { requireNumbers } from "../number-rules.ts";
import { type GivenTask, sayTo, taskFor } from "./task.ts";
import { type EngineOptions, withEngine } from "./with-engine.ts";

export interface PredictOptions extends EngineOptions {
  readonly model: OpenModel;
  readonly texts: readonly string[];
  readonly prompt?: SoftPrompt | undefined;
  /** The prompt's, unless told. */
  readonly task?: GivenTask;
}

/**
 * Labels texts, or answers them where the task is a generation, in their order.
 *
 * @throws ProblemError for texts or a task that can't be used; InterruptedError when stopped
 */
export async function predict(options: PredictOptions, watch: Watch = {}): Promise<readonly (Prediction | Answer)[]> {
  requireNumbers(options);
  const { model, texts, prompt } = options;
  const task = await taskFor(options.task, prompt);
  const encoded = await encodeTexts(texts, "texts", task, model, sayTo(watch));
  return withEngine(options, (engine) => predictRows({ model, task, prompt: prompt?.value }, encoded, engine, watch));
}
