import type { Rows } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { type ClassFigures, type Evaluation, figures } from "../training/evaluate.ts";
import type { AnswerEvaluation } from "../training/evaluate-sequences.ts";
import type { Watch } from "../training/events.ts";
import type { LabelledText } from "../training/objective.ts";
import { evaluateAnswers } from "./answers.ts";
import type { OpenModel } from "./open-model.ts";
import { type Classification, classProbabilities } from "./predict.ts";
import type { TaskRows } from "./texts.ts";

/** The figures of a model on labelled texts, those of each class with its name, beside what they are to be compared with. */
export interface NamedEvaluation extends Evaluation {
  readonly classes: readonly (ClassFigures & { readonly name: string })[];
  readonly baselines: Baselines;
}

/** Accuracies that take no tuning: a prompt that isn't better than both has learned nothing. */
export interface Baselines {
  /** Always the label that most of the rows have. */
  readonly largestClass: { readonly name: string; readonly accuracy: number };
  /** The model alone; null where the figures are of the model alone. */
  readonly withoutPrompt: number | null;
}

/** Measures how well a model does a task with labels, with its prompt and without. @throws ProblemError as `classProbabilities` */
export async function evaluateTask(
  classification: Classification,
  examples: Rows<LabelledText>,
  engine: Engine,
  watch: Watch,
): Promise<NamedEvaluation> {
  const { labels } = classification.task;
  const measure = async (prompt: Value | undefined, watch: Watch) =>
    figures(
      await classProbabilities({ ...classification, prompt }, examples, engine, watch),
      Array.from(examples, ({ label }) => label),
      labels.length,
    );
  const { prompt } = classification;
  const result = await measure(prompt, watch);
  const bare = prompt && (await measure(undefined, asPhase(watch, "evaluating without a prompt")));
  const classes = result.classes.map((each, k) => ({ name: labels[k]!.name, ...each }));
  const largest = classes.reduce((most, each) => (each.examples > most.examples ? each : most));
  const largestClass = { name: largest.name, accuracy: largest.examples / examples.length };
  return { ...result, classes, baselines: { largestClass, withoutPrompt: bare?.accuracy ?? null } };
}

/** Watches a stretch of work under another name; what it noted was said before. */
function asPhase({ signal, onEvent, saveEvery }: Watch, name: string): Watch {
  return {
    signal,
    saveEvery,
    onEvent: (event) => {
      if (event.kind !== "note") onEvent?.(event.kind === "phase" ? { ...event, name } : event);
    },
  };
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
