import type { Command } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { firstTexts } from "../../shared/data/jsonl.ts";
import { checkTexts, checkWords } from "../../shared/operations/check-task.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import { type ColumnOptions, dataFile, withColumns } from "../data-file.ts";
import { dataLine, taskLine, textLines, wordLines } from "../describe-task.ts";
import { loadModel } from "../inputs.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { next } from "../words.ts";

const KEYS = `
task.json, key by key (R: required):
  name          R  letters, digits, spaces, dots, dashes; it is sent with the prompt
  template      R  how a text is put to the model: {text} once; everything else is taken as it stands. A masked model (RoBERTa, BERT) is read at {mask}
  labels        R  two at least, each {"name": …, "words": […]}. A word is what the model would say behind the template, so mostly begins with a space. It
                   counts by its first token; of several words their mean counts
  init          R  the instruction that the prompt starts from; it is cut or repeated to --prompt-tokens tokens
  maxLength        tokens of the filled template at most (default: 128). Longer texts lose their end, the template never
 and where the answer is text:
  kind          R  "generation"
  target        R  what is to be said, with {target} once, such as " {target}"
  stop             strings at which an answer ends (default: the model's end token)
  maxNewTokens     tokens of an answer at most (default: 32)

good: "template": "{text}\\nThis is", "words": [" junk"]    the model goes on: "… This is junk"
bad:  "template": "{text}\\nThis is ", "words": ["junk"]    the space is on the wrong side: no model reads "is " and "junk" as it reads "is junk"

Examples:
  softpost task check task.json --model models/student
  softpost task check task.json --model models/student --data private.jsonl --rows 3     # shows rows of the data: on this screen only

Next: softpost tune --model models/student --task task.json --train private.jsonl --epsilon 8 --out prompt`;

interface Options extends ColumnOptions {
  readonly model: string;
  readonly data?: string;
  readonly rows: number;
}

/** `softpost task …`: what a task file says, as a model reads it. */
export function registerTask(program: Command, io: Io): void {
  const task = program.command("task").description("explain and check task files").addHelpText("after", KEYS);
  const check = task
    .command("check")
    .description("show a task as a model reads it: filled templates, their tokens, and the labels' words")
    .argument("<file>", "task.json")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .option("--data <file>", "rows as for tune: all of them are checked, some are shown")
    .option("--rows <n>", "rows that are shown", wholeNumber(0), 2)
    .addHelpText("after", KEYS)
    .action((file: string, options: Options) => run(file, options, io));
  withColumns(check, ["text", "label", "target"]);
}

/** Where there are no rows, the template is shown with this. */
const SAMPLE = "The text of a row stands here.";

async function run(file: string, options: Options, io: Io): Promise<void> {
  const { model: name, data, rows: shown } = options;
  const task = await readTask(file);
  const model = await loadModel(name, io);
  const words = await checkWords(task, model);
  const given = data === undefined ? undefined : await dataFile(data, options, io);
  const rows = given === undefined ? undefined : await encodedRows(given, task, model, io.message);
  const texts = given ? await firstTexts(given, shown) : [SAMPLE];
  const checked = await checkTexts(task, model, texts);
  const lines = [
    taskLine(task),
    ...checked.flatMap((text, i) => textLines(text, i, data !== undefined)),
    ...wordLines(words),
    ...(rows ? [dataLine(rows)] : []),
    next("tune", "--model", name, "--task", file, "--train", data ?? "FILE", "--epsilon", "8", "--out", "prompt"),
  ];
  io.result({ task, words, texts: checked, rows: rows?.rows.length ?? null }, lines.join("\n"));
}
