/**
 * `npm run demo`: the whole of POST on this machine, on two private tasks. A folder plays the provider, another the client;
 * the work is done by the `softpost` command line, whose commands are shown. Writes `demo-output/report.md` and `.html`.
 */
import { join, relative } from "node:path";
import { CLIENT, download, PROVIDER, setUp } from "./folders.ts";
import type { SentFile, TaskResults } from "./report/results.ts";
import { textTable } from "./report/tables.ts";
import { writeReport } from "./report/write.ts";
import { DISTILLATION } from "./settings.ts";
import { softpost } from "./softpost.ts";
import { runTask } from "./task-run.ts";

const OUTPUT = "demo-output";

const started = performance.now();
const folder = join(process.cwd(), OUTPUT);
console.log(`Reading the texts. All that is made goes into ${OUTPUT}/, where the commands below were run.`);
const tasks = setUp(folder);

console.log("\nThe provider makes a student of its target, on public text, and publishes it.");
const { layers, steps, batchSize, length, learningRate } = DISTILLATION;
const distilled = await softpost(
  folder,
  ...["distill", "--teacher", `${PROVIDER}/target`, "--corpus", `${PROVIDER}/corpus.jsonl`, "--layers", layers],
  ...[
    "--steps",
    String(steps),
    "--batch-size",
    String(batchSize),
    "--max-length",
    String(length),
    "--lr",
    String(learningRate),
  ],
  ...["--out", `${PROVIDER}/student`],
);
download(folder, "student");

const results: TaskResults[] = [];
const sent: SentFile[] = [];
for (const files of tasks) {
  console.log(`\n──── Task ${results.length + 1} of ${tasks.length}: ${files.task.name} ────`);
  const run = await runTask(folder, files);
  results.push(run.results);
  sent.push(...run.sent);
  console.log(`\n${textTable(run.results)}`);
}

const seconds = (performance.now() - started) / 1000;
const distillation = { seconds: distilled.seconds, steps, curve: { name: "student", losses: distilled.losses } };
const report = writeReport(folder, { tasks: results, distillation, sent, seconds });
for (const task of results) console.log(`\n${task.name}, ${task.testExamples} test examples\n${textTable(task)}`);
console.log(`\nDone in ${seconds.toFixed(0)} s. Private data is in ${OUTPUT}/${CLIENT} only.`);
console.log(`The report: ${relative(process.cwd(), report.html)} and ${relative(process.cwd(), report.markdown)}`);
