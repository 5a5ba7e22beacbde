/**
 * `npm run demo`: the whole of POST on this machine, on a private task; with `-- --full` on every task. A provider runs as a service, and a client in another folder uses
 * it over HTTP; the work is done by the `softpost` command line, whose commands are shown. Writes `demo-output/report.md` and `.html`.
 */
import { join, relative } from "node:path";
import type { Budget } from "../shared/protocol/budget.ts";
import { Client } from "./client.ts";
import type { TaskFiles } from "./corpora/task-files.ts";
import { introduce, type Parties, partiesOf, publicFile, setUp } from "./folders.ts";
import { startRecorder } from "./recorder.ts";
import type { Results, Sent } from "./report/results.ts";
import { sentText, textTable } from "./report/tables.ts";
import { writeReport } from "./report/write.ts";
import { describeSent } from "./sent.ts";
import { serve } from "./serve.ts";
import { DISTILLATION } from "./settings.ts";
import { type Finished, softpost } from "./softpost.ts";
import { PROMPTS, runTask, type TaskRun } from "./task-run.ts";

const OUTPUT = "demo-output";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
try {
  await main();
} catch (error) {
  if (!stop.signal.aborted) throw error;
  console.log("\nStopped.");
  process.exitCode = 130;
}

async function main(): Promise<void> {
  const started = performance.now();
  const folder = join(process.cwd(), OUTPUT);
  console.log(
    `Reading the texts. All that is made goes into ${OUTPUT}/: "provider$" stands before commands that run in its`,
  );
  console.log('folder provider/, "client$" in client/, and "$" in itself.');
  const parties = partiesOf(folder, stop.signal);
  const tasks = setUp(parties, process.argv.includes("--full"));

  console.log("\nThe provider makes a student of its target, on public text,");
  const distilled = await distill(parties);
  console.log("\nand publishes it: this command goes on until the end. The client gets an address and a key.");
  const published = ["--target", "target", "--student", "student", "--public"];
  const files = tasks.map(({ task }) => publicFile(task.name));
  const provider = await serve(parties.provider, "--dir", "service", "--jobs", "2", ...published, ...files);
  const recorder = await startRecorder(provider.url);
  try {
    introduce(parties.client, recorder.url, provider.key);
    const dealings = await useService(parties, tasks);
    const prompts = tasks.flatMap(({ task }) => Object.values(PROMPTS).map((prompt) => `${task.name}/${prompt}`));
    const sent = await describeSent(recorder.requests, parties.client.folder, prompts);
    const seconds = (performance.now() - started) / 1000;
    finish(folder, { ...dealings, distilled, sent, seconds });
  } finally {
    recorder.close();
    await provider.close();
  }
}

function distill({ provider }: Parties): Promise<Finished> {
  const { layers, steps, batchSize, length, learningRate } = DISTILLATION;
  return softpost(
    provider,
    ...["distill", "--target", "target", "--public", "corpus.jsonl", "--layers", layers, "--steps", String(steps)],
    ...["--batch-size", String(batchSize), "--max-length", String(length), "--lr", String(learningRate)],
    ...["--out", "student"],
  );
}

interface Dealings {
  readonly runs: readonly TaskRun[];
  readonly before: Budget;
  readonly after: Budget;
}

/** All that the client does, and what it is compared with. */
async function useService(parties: Parties, tasks: readonly TaskFiles[]): Promise<Dealings> {
  const client = new Client(parties.client);
  console.log("\nThe client sees what there is, and downloads the student.");
  await client.fetchStudent("student");
  const before = await client.budget();
  const runs: TaskRun[] = [];
  for (const files of tasks) {
    console.log(`\n──── Task ${runs.length + 1} of ${tasks.length}: ${files.task.name} ────`);
    const run = await runTask(parties, files);
    runs.push(run);
    console.log(`\n${textTable(run.results)}`);
  }
  console.log("\nWhat the client has spent:");
  return { runs, before, after: await client.budget() };
}

function finish(
  folder: string,
  { runs, before, after, distilled, sent, seconds }: Dealings & { distilled: Finished; sent: Sent[]; seconds: number },
): void {
  const results: Results = {
    tasks: runs.map((run) => run.results),
    distillation: {
      seconds: distilled.seconds,
      steps: DISTILLATION.steps,
      curve: { name: "student", losses: distilled.losses },
    },
    transfers: runs.flatMap((run) => run.transfers),
    budgets: { before, between: runs.map((run) => run.between), after },
    sent,
    seconds,
  };
  const report = writeReport(folder, results);
  console.log(`\n${sentText(sent)}`);
  for (const task of results.tasks)
    console.log(`\n${task.name}, ${task.testExamples} test examples\n${textTable(task)}`);
  console.log(
    `\nDone in ${seconds.toFixed(0)} s. The private training rows are in ${OUTPUT}/client only; the test texts were shown to the provider.`,
  );
  console.log(`The report: ${relative(process.cwd(), report.html)} and ${relative(process.cwd(), report.markdown)}`);
}
