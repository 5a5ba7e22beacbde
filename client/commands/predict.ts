import type { Command } from "commander";
import { predictRows } from "../../shared/operations/predict.ts";
import { encodedTextRows } from "../../shared/operations/texts.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { loadModel, loadPromptAndTask } from "../inputs.ts";
import { engineRun, nothingWritten } from "../long-run.ts";
import type { Io } from "../output.ts";

interface Options extends ColumnOptions {
  model: string;
  prompt: string;
  data: string;
  task?: string;
}

const NOTES = `
A line of the output is a row's own fields but its text (an id, say), then "label" and "probabilities", or of a generation task "text", "ids" and "finish".

Example:
  softpost predict --model models/target --prompt prompts/moved --data new.jsonl > labels.jsonl

Next: softpost export --format vllm (the same texts as requests to another server)`;

/** `softpost predict`: labels or answers for new texts. */
export function registerPredict(program: Command, io: Io): void {
  const command = program
    .command("predict")
    .description("print, of every text, label and class probabilities, or the answer, as a line of JSON")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", `rows of {"text"} (${ROW_FORMATS})`)
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const model = await loadModel(options.model, io);
  const { prompt, task } = await loadPromptAndTask(options, model, io);
  const { texts, fields } = await encodedTextRows(
    (await dataFile(options.data, options)).data,
    task,
    model,
    io.message,
  );
  const rows = await engineRun(io, nothingWritten, (engine, watch) =>
    predictRows({ model, task, prompt: prompt.value }, texts, engine, watch),
  );
  const taken = Object.keys(rows[0]!).filter((name) => fields.some((own) => Object.hasOwn(own, name)));
  if (taken.length > 0) {
    io.message(
      `The rows have fields of their own called ${taken.join(", ")}: what is printed there is the prediction.`,
    );
  }
  for (const [i, row] of rows.entries()) io.row(JSON.stringify({ ...fields[i], ...row }));
}
