import type { Command } from "commander";
import { predictFile } from "../../shared/operations/predict.ts";
import { surveyTexts } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type ConnectionOptions, withConnection } from "../api/connection.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { loadModel, loadPromptAndTask } from "../inputs.ts";
import { engineRun, type WhenStopped } from "../long-run.ts";
import type { Io } from "../output.ts";
import { predictRemotely } from "../predict-remotely.ts";
import { predictionPrinter } from "../print-predictions.ts";

interface Options extends ColumnOptions, ConnectionOptions {
  model: string;
  prompt?: string;
  data: string;
  task?: string;
  remote?: boolean;
  idempotencyKey?: string;
}

const NOTES = `
A line of the output is a row's own fields but its text (an id, say), then "label" and "probabilities", or of a generation task "text", "ids" and "finish".

Example:
  softpost predict --model models/target --prompt prompts/moved --data new.jsonl > labels.jsonl

Next: softpost export --format vllm (the same texts as requests to another server)`;

/** `softpost predict`: labels or answers for new texts. */
export function registerPredict(program: Command, io: Io): void {
  const command = withConnection(program.command("predict"))
    .description("print, of every text, label and class probabilities, or the answer, as a line of JSON")
    .requiredOption("--model <name>", "model folder, or hub id such as org/name or org/name@revision")
    .option("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", `rows of {"text"} (${ROW_FORMATS})`)
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .option(
      "--remote",
      "let a job of the provider's do it, which sees the texts; --model is then TARGET:TRANSFER_ID or an alias",
    )
    .option(
      "--idempotency-key <key>",
      "with --remote: name of this job: the same command with it never begins a second one",
    )
    .addHelpText("after", NOTES)
    .action((options: Options, command: Command) => {
      if (options.idempotencyKey !== undefined && !options.remote) {
        command.error("error: --idempotency-key needs --remote");
      }
      return run(options, io);
    });
  withColumns(command, ["text"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const { remote, prompt: folder } = options;
  const data = await dataFile(options.data, options, io);
  if ((remote === true) === (folder !== undefined)) {
    throw new ProblemError(
      "The prompt is not known",
      "Name a folder with --prompt, or a prompt at the provider with --remote.",
    );
  }
  if (folder === undefined) return predictRemotely({ ...options, data }, io);
  const model = await loadModel(options.model, io);
  const { prompt, task } = await loadPromptAndTask({ ...options, prompt: folder }, model, io);
  const total = await surveyTexts(data, task, model, io.message);
  await engineRun(io, printedSoFar, async (engine, watch) => {
    const print = predictionPrinter(io);
    const predicted = predictFile({ model, task, prompt: prompt.value, data, total }, engine, watch);
    for await (const rows of predicted) for (const { prediction, fields } of rows) print(prediction, fields);
  });
}

const printedSoFar: WhenStopped = () => "Stopped. What was printed is done; the same command begins anew.";
