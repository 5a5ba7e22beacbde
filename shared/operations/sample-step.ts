import type { Engine, Graph, Value } from "../graph/engine.ts";
import { gradients } from "../graph/gradients.ts";
import { variable } from "../graph/tensor.ts";
import { sharedPrompt } from "../training/evaluate.ts";
import { objectiveOf } from "../training/objective.ts";
import { batchMean } from "../training/tune.ts";
import { examplesOf, startOf, type TuneRequest } from "./tune.ts";

/** A graph with all that it is run on: what two devices can be compared by. */
export interface SampleStep {
  readonly graph: Graph;
  readonly variables: Readonly<Record<string, Value>>;
  readonly feeds: Readonly<Record<string, Value>>;
}

/** So few that two devices are compared in little time. */
const ROWS = 4;

/** Loss and gradient of a run's first rows, at the prompt that it starts from. */
export async function sampleStep(request: TuneRequest, engine: Engine): Promise<SampleStep> {
  const examples = await examplesOf(request, {});
  const objective = objectiveOf(examples);
  const start = await startOf(request, engine);
  const prompt = variable("prompt", start.shape);
  const loss = batchMean(objective.losses(request.model.model, sharedPrompt(prompt)));
  const rows = Math.min(ROWS, examples.examples.length);
  const first = Array.from({ length: rows }, (_, i) => examples.examples.at(i)!);
  return {
    graph: { outputs: { loss, gradient: gradients(loss, [prompt])[0]! } },
    variables: { prompt: start },
    feeds: objective.feeds(first),
  };
}
