import type { Command } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { evaluateTask } from "../../shared/operations/evaluate.ts";
import { encodedExamples } from "../../shared/operations/texts.ts";
import { loadModel, loadPrompt } from "../inputs.ts";
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
  const model = await loadModel(options.model, io);
  const prompt = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, model, io, task);
  const examples = await encodedExamples(options.data, task, model, io.message);
  const result = await engineRun(io, (engine, watch) =>
    evaluateTask({ model, task, prompt: prompt?.value }, examples, engine, watch),
  );
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const lines = [
    `accuracy ${percent(result.accuracy)} ± ${percent(result.standardError)}, loss ${result.loss.toFixed(4)}, ${result.examples} examples`,
    ...result.classes.map(({ name, examples, recall }) => `  ${name}: ${percent(recall ?? 0)} of ${examples}`),
  ];
  io.result(result, lines.join("\n"));
}
