import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Method } from "./fit.ts";
import type { StudySettings } from "./settings.ts";

export type Measured = Omit<Method, "prompt"> & { readonly test: number };

/** What was measured on one task with one model. */
export interface TaskMeasured {
  readonly path: string;
  readonly testRows: number;
  readonly results: readonly Measured[];
}

/** Writes `results.json` and `report.md`: means over the seeds with standard errors. */
export function writeReport(folder: string, tasks: readonly TaskMeasured[], settings: StudySettings): void {
  writeFileSync(join(folder, "results.json"), `${JSON.stringify({ settings, tasks }, null, 1)}\n`);
  writeFileSync(join(folder, "report.md"), tasks.map(tableOf).join("\n"));
}

function tableOf({ path, testRows, results }: TaskMeasured): string {
  const groups = Map.groupBy(results, ({ method, publicSet }) => `${method} | ${publicSet ?? ""}`);
  const rows = [...groups].map(([name, runs]) => {
    const travels = runs.flatMap(({ travel }) => (travel ? [travel] : []));
    const agreement = travels.length > 0 ? meanText(travels.map((travel) => travel.agreement)) : "";
    return `| ${name} | ${meanText(runs.map((run) => run.validation))} | ${meanText(runs.map((run) => run.test))} | ${agreement} |`;
  });
  const head =
    "| method | public texts | validation | test | agreement on held-out public texts |\n|---|---|---|---|---|";
  return `## ${path}, ${testRows} test rows\n\n${head}\n${rows.join("\n")}\n`;
}

/** Mean and its standard error over the seeds, in %. */
export function meanText(values: readonly number[]): string {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length < 2) return (100 * mean).toFixed(1);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return `${(100 * mean).toFixed(1)} (${(100 * Math.sqrt(variance / values.length)).toFixed(1)})`;
}
