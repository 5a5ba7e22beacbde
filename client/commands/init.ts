import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { firstTexts, type LabelCounts, readLabels, textsOf } from "../../shared/data/jsonl.ts";
import { checkTexts, checkWords } from "../../shared/operations/check-task.ts";
import { proposeTask } from "../../shared/operations/propose-task.ts";
import { proposedDelta, scheduleFor } from "../../shared/operations/tune-defaults.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { taskLine, textLines, wordLines } from "../describe-task.ts";
import { loadModel } from "../inputs.ts";
import type { Io } from "../output.ts";
import { count, next, percent, short } from "../words.ts";

interface Options extends ColumnOptions {
  readonly model: string;
  readonly data: string;
  readonly out: string;
  readonly name: string;
  readonly template?: string;
  readonly word?: ReadonlyMap<string, readonly string[]>;
}

/** Below this a class is learned from too few rows, and one so much rarer than another is hardly ever named. */
const FEW_ROWS = 20;
const UNBALANCED = 10;

const EXAMPLES = `
Examples:
  softpost init --model student --data tickets.csv --text-column body --label-column queue
  softpost init --model student --data reviews.jsonl --word 0=bad --word 1=good --template "{text}\\nIt was"

The rows are read on this machine and stay there. What is written is a beginning: change the template and the words until they read well, and look again with
softpost task check.

Next: softpost tune --model student --task task.json --train tickets.csv --epsilon 8 --out prompt`;

/** `softpost init`: a task file for labelled rows. */
export function registerInit(program: Command, io: Io): void {
  const command = program
    .command("init")
    .description("look at labelled rows and write a task file for them, with what to type next")
    .requiredOption("--model <dir>", "the model that the prompt will be tuned on: a folder, or hub id")
    .requiredOption("--data <file>", `rows of {"text", "label"} (${ROW_FORMATS})`)
    .option("--out <file>", "the task file, which must not be there yet", "task.json")
    .option("--name <name>", "what the task is called; it is sent with the prompt", "task")
    .option("--template <text>", "how a text is put to the model, with {text} once; \\n is a line break")
    .option("--word <label=word>", "what the model would say for a label (again for each)", wordOf)
    .addHelpText("after", EXAMPLES)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text", "label"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const data = await dataFile(options.data, options, io);
  const model = await loadModel(options.model, io);
  const labels = await readLabels(data);
  const { name, template, word = new Map() } = options;
  const wishes = { name, template: template?.replaceAll("\\n", "\n"), words: word };
  const { task, shortened } = await proposeTask(wishes, labels, textsOf(data), model);
  const rows = [...labels.values()].reduce((sum, count) => sum + count, 0);
  const words = await checkWords(task, model);
  const [first] = await checkTexts(task, model, await firstTexts(data, 1));
  await writeTask(options.out, `${JSON.stringify(task, null, 2)}\n`);
  const lines = [
    `${options.out} is written. ${taskLine(task)}`,
    `Data: ${count(rows, "row")} (${[...labels].map(([label, rows]) => `${label} ${rows}`).join(", ")})`,
    ...textLines(first!, 0, true),
    ...wordLines(words),
    ...warnings(labels, shortened, rows),
    ...proposal(rows),
    next(
      "tune",
      "--model",
      options.model,
      "--task",
      options.out,
      "--train",
      options.data,
      "--epsilon",
      "8",
      "--out",
      "prompt",
    ),
  ];
  io.result({ task, words, labels: Object.fromEntries(labels), rows, shortened }, lines.join("\n"));
}

async function writeTask(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: "wx" }).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === "EEXIST" ? "is there already; --out names another" : `can't be written (${cause.code})`;
    throw new ProblemError("The task file can't be written", `${path} ${why}.`, { cause });
  });
}

function warnings(labels: LabelCounts, shortened: number, rows: number): string[] {
  const counts = [...labels.values()];
  const [most, least] = [Math.max(...counts), Math.min(...counts)];
  const few = [...labels].filter(([, amount]) => amount < FEW_ROWS).map(([label]) => label);
  return [
    ...(few.length > 0
      ? [
          `Few rows: ${few.join(", ")} ${few.length === 1 ? "has" : "have"} fewer than ${FEW_ROWS}; a prompt will hardly learn them.`,
        ]
      : []),
    ...(most > UNBALANCED * least
      ? [
          `Unbalanced: the largest class has ${short(most / least, 2)} times the rows of the smallest. Look at the figures of each class, not at accuracy.`,
        ]
      : []),
    ...(shortened > 0
      ? [
          `${count(shortened, "text")} of ${rows} (${percent(shortened / rows)}) will lose their end: maxLength is what leaves most of them whole.`,
        ]
      : []),
  ];
}

/** What tune will take for so many rows, and why. */
function proposal(rows: number): string[] {
  const { batchSize, steps } = scheduleFor(rows, true, {});
  return [
    `tune --epsilon 8 will take ${count(steps, "step")} of about ${count(batchSize, "row")} and δ ${short(proposedDelta(rows))}: few steps of many rows, since every step costs privacy and noise is`,
    "  divided by the batch. ε 8 is a beginning; 3 or 1 promise more and take more rows for the same accuracy (softpost tune --help).",
  ];
}

function wordOf(text: string, before: Map<string, readonly string[]> = new Map()): Map<string, readonly string[]> {
  const [, label, word] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (label === undefined || word === undefined)
    throw new InvalidArgumentError("It must be a label and its word, such as 1=good.");
  const spaced = word.startsWith(" ") ? word : ` ${word}`;
  return new Map(before).set(label, [...(before.get(label) ?? []), spaced]);
}
