import type { Command } from "commander";
import { predictRows } from "../../shared/operations/predict.ts";
import { encodedTexts } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type ConnectionOptions, withConnection } from "../api/connection.ts";
import { loadModel, loadPromptAndTask } from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { predictRemotely } from "../predict-remotely.ts";

interface Options extends ConnectionOptions {
  model: string;
  prompt?: string;
  data: string;
  task?: string;
  remote?: boolean;
}

/** `softpost predict`: labels or answers for new texts. */
export function registerPredict(program: Command, io: Io): void {
  withConnection(program.command("predict"))
    .description("print, of every text, label and class probabilities, or the answer, as a line of JSON")
    .requiredOption("--model <name>", "model folder, or hub id such as org/name or org/name@revision")
    .option("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", 'rows of {"text"} (JSONL)')
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .option(
      "--remote",
      "let a job of the provider's do it, which sees the texts; --model is then TARGET:TRANSFER_ID or an alias",
    )
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const { remote, data, prompt: folder } = options;
  if ((remote === true) === (folder !== undefined)) {
    throw new ProblemError(
      "The prompt is not known",
      "Name a folder with --prompt, or a prompt at the provider with --remote.",
    );
  }
  if (folder === undefined) return predictRemotely(options, io);
  const model = await loadModel(options.model, io);
  const { prompt, task } = await loadPromptAndTask({ ...options, prompt: folder }, model, io);
  const texts = await encodedTexts(data, task, model, io.message);
  const rows = await engineRun(io, (engine, watch) =>
    predictRows({ model, task, prompt: prompt.value }, texts, engine, watch),
  );
  for (const row of rows) io.row(JSON.stringify(row));
}
