import type { Command } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { evaluateRows } from "../../shared/operations/evaluate.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { figureLines } from "../describe-figures.ts";
import { loadModel, loadPromptAndTask } from "../inputs.ts";
import { engineRun, nothingWritten } from "../long-run.ts";
import type { Io } from "../output.ts";
import { next } from "../words.ts";

interface Options extends ColumnOptions {
  model: string;
  task?: string;
  data: string;
  prompt?: string;
}

const EXAMPLES = `
Examples:
  softpost evaluate --model student --prompt prompt --data test.jsonl
  softpost evaluate --model student --task task.json --data test.jsonl     # the model alone

Next: softpost submit (to the provider's target), softpost predict (labels of new texts)`;

/** `softpost evaluate`: how well a model does a task, with a soft prompt or without one. */
export function registerEvaluate(program: Command, io: Io): void {
  const command = program
    .command("evaluate")
    .description("measure how well a model does a task, on rows with labels or targets")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption(
      "--data <file>",
      `rows of {"text", "label"}, or of {"text", "target"} for a generation task (${ROW_FORMATS})`,
    )
    .option("--prompt <dir>", "soft prompt to put before every text; it is compared with the model alone")
    .option("--task <file>", "task.json (default: the task in the prompt's manifest; required without --prompt)")
    .addHelpText("after", EXAMPLES)
    .action((options: Options, command: Command) => {
      if (options.task === undefined && options.prompt === undefined) {
        command.error("error: evaluate needs --prompt, or --task to measure the model alone");
      }
      return run(options, io);
    });
  withColumns(command, ["text", "label", "target"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const { task: file, prompt: folder } = options;
  const model = await loadModel(options.model, io);
  const { task, prompt } =
    folder === undefined
      ? { task: await readTask(file!), prompt: undefined }
      : await loadPromptAndTask({ prompt: folder, task: file }, model, io);
  const rows = await encodedRows(await dataFile(options.data, options, io), task, model, io.message);
  const evaluation = await engineRun(io, nothingWritten, (engine, watch) =>
    evaluateRows({ model, prompt: prompt?.value }, rows, engine, watch),
  );
  const lines = figureLines(evaluation);
  if (folder !== undefined) lines.push(nextOf(options.model, folder, prompt?.manifest ?? null));
  io.result(evaluation.figures, lines.join("\n"));
}

/** What one does with a prompt: a student's goes to the provider if it may, any other is used. */
function nextOf(model: string, prompt: string, manifest: Manifest | null): string {
  if (!manifest?.privacy || manifest.transfer)
    return next("predict", "--model", model, "--prompt", prompt, "--data", "FILE");
  return next("submit", "--prompt", prompt, "--dataset", "NAME", "--public", "ID");
}
