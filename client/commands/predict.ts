import type { Command } from "commander";
import { predict } from "../../shared/training/evaluate.ts";
import { loadModel, loadPromptAndTask, loadTexts, loadVerbalizer, requireFinite, requireRoom } from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import type { Io } from "../output.ts";

interface Options {
  model: string;
  prompt: string;
  data: string;
  task?: string;
}

/** `softpost predict`: labels for new texts. */
export function registerPredict(program: Command, io: Io): void {
  program
    .command("predict")
    .description("print label and class probabilities of every text as a line of JSON")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", 'rows of {"text"} (JSONL)')
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const loaded = await loadModel(options.model, io);
  const { prompt, task } = await loadPromptAndTask(options, loaded, io);
  const classes = await loadVerbalizer(task, loaded, io);
  requireRoom(task, prompt.virtualTokens, loaded);
  const texts = await loadTexts(options.data, task, loaded, io);
  const probabilities = await engineRun(io, (engine, watch) =>
    predict({ engine, model: loaded.model, classes, prompt: prompt.value }, texts, watch),
  );
  requireFinite(probabilities, `The probabilities of ${options.model}`);
  const names = task.labels.map(({ name }) => name);
  for (let at = 0; at < probabilities.length; at += names.length) {
    const row = probabilities.subarray(at, at + names.length);
    const label = names[row.indexOf(Math.max(...row))];
    io.row(JSON.stringify({ label, probabilities: Object.fromEntries(names.map((name, k) => [name, row[k]])) }));
  }
}
