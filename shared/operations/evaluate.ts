import type { Engine } from "../graph/engine.ts";
import { type ClassFigures, type Evaluation, figures } from "../training/evaluate.ts";
import type { Watch } from "../training/events.ts";
import type { LabelledText } from "../training/objective.ts";
import { type Classification, classProbabilities } from "./predict.ts";

/** The figures of a model on labelled texts, those of each class with its name. */
export interface NamedEvaluation extends Evaluation {
  readonly classes: readonly (ClassFigures & { readonly name: string })[];
}

/** Measures how well a model does a task. @throws ProblemError as `classProbabilities` */
export async function evaluateTask(
  classification: Classification,
  examples: readonly LabelledText[],
  engine: Engine,
  watch: Watch,
): Promise<NamedEvaluation> {
  const { labels } = classification.task;
  const probabilities = await classProbabilities(classification, examples, engine, watch);
  const result = figures(
    probabilities,
    examples.map(({ label }) => label),
    labels.length,
  );
  return { ...result, classes: result.classes.map((each, k) => ({ name: labels[k]!.name, ...each })) };
}
