import type { Engine, Value } from "../graph/engine.ts";
import { type ClassFigures, type Evaluation, figures } from "../training/evaluate.ts";
import type { AnswerEvaluation } from "../training/evaluate-sequences.ts";
import type { Watch } from "../training/events.ts";
import type { LabelledText } from "../training/objective.ts";
import { evaluateAnswers } from "./answers.ts";
import type { OpenModel } from "./open-model.ts";
import { type Classification, classProbabilities } from "./predict.ts";
import type { TaskRows } from "./texts.ts";

/** The figures of a model on labelled texts, those of each class with its name. */
export interface NamedEvaluation extends Evaluation {
  readonly classes: readonly (ClassFigures & { readonly name: string })[];
}

/** Measures how well a model does a task with labels. @throws ProblemError as `classProbabilities` */
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

/** Figures of either kind of task. */
export type TaskEvaluation =
  | { readonly kind: "classification"; readonly figures: NamedEvaluation }
  | { readonly kind: "generation"; readonly figures: AnswerEvaluation };

/** Measures how well a model does a task of either kind. @throws ProblemError as `evaluateTask` or `evaluateAnswers` */
export async function evaluateRows(
  { model, prompt }: { readonly model: OpenModel; readonly prompt: Value | undefined },
  rows: TaskRows,
  engine: Engine,
  watch: Watch,
): Promise<TaskEvaluation> {
  if (rows.kind === "classification") {
    const figures = await evaluateTask({ model, task: rows.task, prompt }, rows.rows, engine, watch);
    return { kind: "classification", figures };
  }
  return {
    kind: "generation",
    figures: await evaluateAnswers({ model, task: rows.task, prompt }, rows.rows, engine, watch),
  };
}
