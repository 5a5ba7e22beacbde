import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { meansChart } from "./chart.ts";
import { type Mean, type Measured, type MethodMeans, meansOf } from "./means.ts";
import type { StudySettings } from "./settings.ts";

/** What was measured on one task with one model. */
export interface TaskMeasured {
  /** The model's and the task's name. */
  readonly path: string;
  readonly testRows: number;
  readonly results: readonly Measured[];
}

/** Writes `results.json`, and `report.md` with a picture a task: means over the seeds with standard errors. */
export function writeReport(folder: string, tasks: readonly TaskMeasured[], settings: StudySettings): void {
  writeFileSync(join(folder, "results.json"), `${JSON.stringify({ settings, tasks }, null, 1)}\n`);
  const parts = tasks.map((task) => {
    const rows = meansOf(task.results);
    const picture = `${task.path.replaceAll("/", "-")}.svg`;
    writeFileSync(join(folder, picture), meansChart(`${task.path}: accuracy on ${task.testRows} test rows`, rows));
    return `## ${task.path}, ${task.testRows} test rows\n\n${tableOf(rows)}\n\n![${task.path}](${picture})\n`;
  });
  const note =
    "Accuracy in %, means over the seeds with their standard errors in brackets. Settings were chosen by the validation rows, " +
    "split off the private rows, and by held-out public texts; the test rows were read once, at the end.";
  writeFileSync(join(folder, "report.md"), `# Study\n\n${note}\n\n${parts.join("\n")}`);
}

function tableOf(rows: readonly MethodMeans[]): string {
  const lines = rows.map(({ method, publicSet, validation, test, agreement }) => {
    const cells = [method, publicSet ?? "", text(validation), text(test), agreement ? text(agreement) : ""];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| method | public texts | validation | test | agreement on held-out public texts |",
    "|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

function text({ mean, error }: Mean): string {
  return (100 * mean).toFixed(1) + (error === null ? "" : ` (${(100 * error).toFixed(1)})`);
}
