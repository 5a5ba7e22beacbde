import { type MethodResult, standardError, type TaskResults } from "./results.ts";

export const TABLE_HEAD = ["method", "model and prompt", "accuracy %", "private", "public", "seconds"] as const;

/** The rows of a task's table as text cells, in the order of `TABLE_HEAD`. */
export function tableRows({ methods, testExamples }: TaskResults): string[][] {
  return methods.map((row) => [
    row.method,
    row.how,
    accuracyText(row, testExamples),
    count(row.privateExamples),
    count(row.publicExamples),
    row.seconds === 0 ? "–" : row.seconds.toFixed(0),
  ]);
}

/** What to keep in mind when reading a task's table. */
export function tableNotes({ privacy, bagOfWords, testExamples }: TaskResults): string[] {
  return [
    `± is one standard error over the ${testExamples} test examples.`,
    "private, public: how many examples of either kind went into the prompt. Seconds: what making it took here.",
    `DP: ε = ${privacy.epsilon.toFixed(2)}, δ = ${privacy.delta.toExponential(1)} (add-or-remove-one neighbours).`,
    `A bag-of-words logistic regression on the same private examples reaches ${percent(bagOfWords)} %: for these tasks ` +
      "a language model this small is not the best tool. What the table shows is how much of a prompt's effect travels.",
  ];
}

function accuracyText({ accuracy }: MethodResult, examples: number): string {
  return `${percent(accuracy)} ± ${percent(standardError(accuracy, examples))}`;
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

function count(examples: number): string {
  return examples === 0 ? "–" : String(examples);
}

/** The table in columns, for a terminal. */
export function textTable(task: TaskResults): string {
  const rows = [[...TABLE_HEAD], ...tableRows(task)];
  const widths = TABLE_HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join("  "),
    )
    .join("\n");
}
