import type { NamedEvaluation, TaskEvaluation } from "../shared/operations/evaluate.ts";
import type { AnswerEvaluation } from "../shared/training/evaluate-sequences.ts";
import { tableLines } from "./table.ts";
import { count, percent } from "./words.ts";

/** What an evaluation found, in lines: figures with their baselines, and for labels a table of the classes. */
export function figureLines({ kind, figures }: TaskEvaluation): string[] {
  return kind === "classification" ? classLines(figures) : [answerLine(figures)];
}

function classLines({ accuracy, standardError, loss, examples, classes, baselines }: NamedEvaluation): string[] {
  const { largestClass, withoutPrompt } = baselines;
  const named = classes.filter(({ precision }) => precision !== null);
  const share = (part: number | null) => (part === null ? "–" : percent(part));
  return [
    `Accuracy ${percent(accuracy)} ± ${percent(standardError)} on ${count(examples, "row")}, loss ${loss.toFixed(4)}`,
    ...indented([
      ...(withoutPrompt === null ? [] : [["without a prompt", percent(withoutPrompt)]]),
      [`always "${largestClass.name}", the largest class`, percent(largestClass.accuracy)],
    ]),
    ...indented([
      ["label", "rows", "found", "right when named"],
      ...classes.map(({ name, examples, recall, precision }) => [
        name,
        String(examples),
        share(recall),
        share(precision),
      ]),
    ]),
    ...(named.length === 1 && classes.length > 1
      ? [`WARNING: every row was given the label "${named[0]!.name}". That is no classifier, whatever its accuracy.`]
      : []),
    ...(named.length > 1 && accuracy <= Math.max(largestClass.accuracy, withoutPrompt ?? 0)
      ? ["WARNING: this is no better than what needs no tuning (see above)."]
      : []),
  ];
}

const indented = (rows: readonly (readonly string[])[]) => tableLines(rows).map((line) => `  ${line}`);

function answerLine({ exactMatch, standardError, f1, loss, tokens, examples }: AnswerEvaluation): string {
  const match = `Exact match ${percent(exactMatch)} ± ${percent(standardError)} on ${count(examples, "row")}, F1 ${percent(f1)}`;
  return `${match}, loss ${loss.toFixed(4)}, ${tokens.toFixed(1)} tokens an answer`;
}
