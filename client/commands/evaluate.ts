import type { Command } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { figures, predict } from "../../shared/training/evaluate.ts";
import { loadLabelled, loadModel, loadPrompt, loadVerbalizer, requireFinite, requireRoom } from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import type { Io } from "../output.ts";

interface Options {
  model: string;
  task: string;
  data: string;
  prompt?: string;
}

/** `softpost evaluate`: how well a model does a task, with a soft prompt or without one. */
export function registerEvaluate(program: Command, io: Io): void {
  program
    .command("evaluate")
    .description("measure accuracy and loss of a model on labelled data")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption("--data <file>", "labelled rows (JSONL)")
    .option("--prompt <dir>", "soft prompt to put before every text")
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const task = await readTask(options.task);
  const loaded = await loadModel(options.model, io);
  const classes = await loadVerbalizer(task, loaded, io);
  const prompt = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, loaded, io, task);
  requireRoom(task, prompt?.virtualTokens ?? 0, loaded);
  const examples = await loadLabelled(options.data, task, loaded, io);
  const probabilities = await engineRun(io, (engine, watch) =>
    predict({ engine, model: loaded.model, classes, prompt: prompt?.value }, examples, watch),
  );
  requireFinite(probabilities, `The probabilities of ${options.model}`);
  const labels = examples.map(({ label }) => label);
  const result = figures(probabilities, labels, classes.length);
  const perClass = result.classes.map((each, index) => ({ name: task.labels[index]!.name, ...each }));
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const lines = [
    `accuracy ${percent(result.accuracy)} ± ${percent(result.standardError)}, loss ${result.loss.toFixed(4)}, ${result.examples} examples`,
    ...perClass.map(({ name, examples, recall }) => `  ${name}: ${percent(recall ?? 0)} of ${examples}`),
  ];
  io.result({ ...result, classes: perClass }, lines.join("\n"));
}
