import type { Command } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { evaluateRows, type NamedEvaluation } from "../../shared/operations/evaluate.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import type { AnswerEvaluation } from "../../shared/training/evaluate-sequences.ts";
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
    .description("measure how well a model does a task, on rows with labels or targets")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption(
      "--data <file>",
      'rows of {"text", "label"}, or of {"text", "target"} for a generation task (JSONL)',
    )
    .option("--prompt <dir>", "soft prompt to put before every text")
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const task = await readTask(options.task);
  const model = await loadModel(options.model, io);
  const prompt = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, model, io, task);
  const rows = await encodedRows(options.data, task, model, io.message);
  const { kind, figures } = await engineRun(io, (engine, watch) =>
    evaluateRows({ model, prompt: prompt?.value }, rows, engine, watch),
  );
  io.result(figures, kind === "classification" ? classLines(figures) : answerLine(figures));
}

function classLines({ accuracy, standardError, loss, examples, classes }: NamedEvaluation): string {
  return [
    `accuracy ${percent(accuracy)} ± ${percent(standardError)}, loss ${loss.toFixed(4)}, ${examples} examples`,
    ...classes.map(({ name, examples: count, recall }) => `  ${name}: ${percent(recall ?? 0)} of ${count}`),
  ].join("\n");
}

function answerLine({ exactMatch, standardError, f1, loss, tokens, examples }: AnswerEvaluation): string {
  const match = `exact match ${percent(exactMatch)} ± ${percent(standardError)}, F1 ${percent(f1)}`;
  return `${match}, loss ${loss.toFixed(4)}, ${tokens.toFixed(1)} tokens an answer, ${examples} examples`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
