import type { Command } from "commander";
import { predictRows } from "../../shared/operations/predict.ts";
import { encodedTexts } from "../../shared/operations/texts.ts";
import { loadModel, loadPromptAndTask } from "../inputs.ts";
import { engineRun, nothingWritten } from "../long-run.ts";
import type { Io } from "../output.ts";

interface Options {
  model: string;
  prompt: string;
  data: string;
  task?: string;
}

/** `softpost predict`: labels or answers for new texts. */
export function registerPredict(program: Command, io: Io): void {
  program
    .command("predict")
    .description("print, of every text, label and class probabilities, or the answer, as a line of JSON")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", 'rows of {"text"} (JSONL)')
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const model = await loadModel(options.model, io);
  const { prompt, task } = await loadPromptAndTask(options, model, io);
  const texts = await encodedTexts(options.data, task, model, io.message);
  const rows = await engineRun(io, nothingWritten, (engine, watch) =>
    predictRows({ model, task, prompt: prompt.value }, texts, engine, watch),
  );
  for (const row of rows) io.row(JSON.stringify(row));
}
