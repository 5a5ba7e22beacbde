/** A task and its data as a model reads them, in lines. */
import type { CheckedText, CheckedWord } from "../shared/operations/check-task.ts";
import type { TaskRows } from "../shared/operations/texts.ts";
import { isGeneration, type Task } from "../shared/protocol/task.ts";
import { tableLines } from "./table.ts";
import { count } from "./words.ts";

export function taskLine(task: Task): string {
  const kind = isGeneration(task)
    ? `answers of at most ${count(task.maxNewTokens, "token")}`
    : `labels ${task.labels.map(({ name }) => name).join(", ")}`;
  return `Task ${task.name}: ${kind}; texts of at most ${count(task.maxLength, "token")} with the template`;
}

export function textLines({ filled, tokens, shortened }: CheckedText, row: number, real: boolean): string[] {
  return [
    `${real ? `Row ${row + 1}` : "The template with a sample text"}, ${count(tokens.length, "token")}${shortened ? ", too long: its text will lose its end" : ""}:`,
    ...filled.split("\n").map((line) => `  | ${line}`),
    `  tokens: ${tokens.map((token) => JSON.stringify(token)).join(" ")}`,
  ];
}

export function wordLines(words: readonly CheckedWord[]): string[] {
  if (words.length === 0) return [];
  const rows = words.map(({ label, word, tokens }) => [
    label,
    JSON.stringify(word),
    tokens.map((token) => JSON.stringify(token)).join(" "),
    tokens.length > 1 ? `counts by the first of ${tokens.length} tokens` : "",
  ]);
  return [
    "Behind it the model is asked for:",
    ...tableLines([["label", "word", "as tokens"], ...rows]).map((line) => `  ${line}`),
  ];
}

/** How many rows there are, and of which label. @param units what is said of them behind their number */
export function dataLine(rows: TaskRows, units = ""): string {
  const amount = `Data: ${count(rows.rows.length, "row")}${units}`;
  if (rows.kind === "generation") return amount;
  const { labels } = rows.task;
  const counts = new Int32Array(labels.length);
  for (const { label } of rows.rows) counts[label]! += 1;
  return `${amount} (${labels.map(({ name }, k) => `${name} ${counts[k]}`).join(", ")})`;
}
