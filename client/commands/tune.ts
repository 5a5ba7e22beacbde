import { type Command, Option } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { evaluateRows, type TaskEvaluation } from "../../shared/operations/evaluate.ts";
import { writePrompt } from "../../shared/operations/soft-prompt.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import { checkTuning, tunePrompt } from "../../shared/operations/tune.ts";
import { CLIP, type GivenSchedule, PROMPT_TOKENS, ROWS_PER_UNIT } from "../../shared/operations/tune-defaults.ts";
import { ACCOUNTANTS } from "../../shared/privacy/accountant.ts";
import { allChecks } from "../all-checks.ts";
import { finishCharged, type Total } from "../charge-run.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { describeData, describeEnd, describePrivacy, describeSchedule } from "../describe-tuning.ts";
import { guaranteeFault } from "../guarantee-rules.ts";
import { loadModel, telling } from "../inputs.ts";
import { loadPrompt } from "../local/prompt.ts";
import { chargedRequest, readTuning, type TuneOptions, type Tuning } from "../local/tune.ts";
import { engineRun, resumable } from "../long-run.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { forgetRunId } from "../run-id.ts";

/** What is said on the command line: files instead of what is in them, and shorter names. */
interface Options extends ColumnOptions, Omit<TuneOptions, "model" | "task" | "train" | "start"> {
  readonly model: string;
  readonly task: string;
  readonly train: string;
  readonly eval?: string;
  readonly prompt?: string;
  readonly out: string;
  readonly lr?: number;
  readonly average?: number;
  readonly budgetEpsilon?: number;
  readonly dataset?: string;
  readonly resume?: boolean;
}

const NOTES = `
A file of private rows is JSONL, {"text": "…", "label": "spam"} on each line, or a table with such columns (CSV, TSV, Parquet). task.json says how a text is put to the model and which words stand for the
labels; every key of it, with a good and a bad example, is explained by: softpost task --help

Unless told, batch size, steps, learning rate and averaging follow the number of rows (docs/results.md says how they were chosen):
                     batch size                    steps                                  --lr    --average
  without --epsilon  32                            20 passes, at least 200, at most 600   0.003   a third of the steps, at most 100
  with --epsilon     a third of the rows, to 256   150                                    0.01    50

What ε means: of 100 people in the data, somebody who has the prompt, knows all other rows and wrongly names 1 of 100 outsiders finds at most
  2 at ε 1, 5 to 6 at ε 3, 18 to 29 at ε 8 (300 to 3 000 rows with these settings; blind guessing finds 1; softpost privacy explain says it for a prompt).
A smaller ε takes more rows: at ε 1 it takes about ten times the rows of ε 8 for the same noise. δ is the chance that this fails altogether: unless told,
the largest power of ten that is at most 1/(10 × rows).

Examples:
  softpost tune --model student --task task.json --train private.jsonl --eval public-labelled.jsonl --epsilon 8 --out prompt
  softpost tune --model student --task task.json --train private.jsonl --out prompt     # not private: guarantees nothing, not to be sent

Next: softpost evaluate (how good it is), softpost submit (to the provider's target)`;

/** `softpost tune`: a soft prompt for a task, from private data, on this machine. */
export function registerTune(program: Command, io: Io): void {
  const epsilon = new Option(
    "--epsilon <e>",
    "tune with differential privacy of at most this ε; without it, nothing is guaranteed",
  );
  const command = program
    .command("tune")
    .description("tune a soft prompt on private data, which never leaves this machine")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption(
      "--train <file>",
      `private rows of {"text", "label"}, or of {"text", "target"} for a generation task (${ROW_FORMATS})`,
    )
    .requiredOption("--out <dir>", "new folder for the prompt")
    .option("--eval <file>", "rows as in --train, public ones if the tuning is private, to measure on afterwards")
    .addOption(epsilon.argParser(positiveNumber).conflicts("noiseMultiplier"))
    .option(
      "--delta <d>",
      "δ of the guarantee, at most 1 / rows (default: by the rows, see below)",
      numberBetween(0, 1),
    )
    .option("--prompt <dir>", "soft prompt to start from (default: the task's init text)")
    .option("--public-start", "no private row had a part in that prompt: a private run starts from no other")
    .option("--prompt-tokens <n>", `virtual tokens (default: ${PROMPT_TOKENS})`, wholeNumber(1))
    .option(
      "--epochs <n>",
      "passes over the data, by units if they have several rows, instead of --steps",
      positiveNumber,
    )
    .addOption(
      new Option("--steps <n>", "optimiser steps (default: by the rows, see below)")
        .argParser(wholeNumber(1))
        .conflicts("epochs"),
    )
    .option(
      "--batch-size <n>",
      "rows a step; with privacy the expected number (default: by the rows, see below)",
      wholeNumber(1),
    )
    .addOption(new Option("--optimizer <name>", "optimiser").choices(["adam", "sgd"]).default("adam"))
    .option("--lr <x>", "learning rate (default: see below)", positiveNumber)
    .option("--average <n>", "make the prompt the mean over so many last steps (default: see below)", wholeNumber(1))
    .option("--seed <n>", "seed of the order; noise never has a seed", wholeNumber(0), 0)
    .option("--no-shuffle", "take the rows in file order")
    .option("--noise-multiplier <s>", "noise in units of the clip norm, instead of --epsilon", positiveNumber)
    .option("--privacy-unit <field>", "protect all rows with one value of this field, such as a user, and not one row")
    .option("--rows-per-unit <m>", `most rows of a unit in a step (default: ${ROWS_PER_UNIT})`, wholeNumber(1))
    .option(
      "--clip <c>",
      `norm that a row's (or unit's mean) gradient is clipped to (default: ${CLIP})`,
      positiveNumber,
    )
    .addOption(new Option("--accountant <name>", "accountant (default: pld)").choices(ACCOUNTANTS))
    .option("--budget-epsilon <e>", "refuse if all runs on this data would compose to a larger ε", positiveNumber)
    .option(
      "--dataset <name>",
      "count all runs under this name together: for data that grow or shrink (identical rows always count together)",
    )
    .option("--resume", "go on with an unfinished run")
    .addHelpText("after", NOTES)
    .action((options: Options, command: Command) => {
      refuseContradictions(options, command);
      return run(options, io);
    });
  withColumns(command, ["text", "label", "target"]);
}

/** Ends with exit code 2 where flags need or exclude each other. */
function refuseContradictions(options: Options, command: Command): void {
  const flagOf = (option: string) =>
    option === "shuffle" ? "--no-shuffle" : `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const fault = guaranteeFault(options, flagOf);
  if (fault) command.error(`error: ${fault}`);
}

async function run(options: Options, io: Io): Promise<void> {
  const [tuning, opened] = await allChecks(
    () => readInputs(options, io),
    () => openOut(options.out, options),
  );
  using out = opened;
  const { model, task, plan, schedule } = tuning;
  const test =
    options.eval === undefined
      ? undefined
      : await encodedRows(await dataFile(options.eval, options, io), task, model, io.message);
  let total: Total | undefined;
  const { dataset, budgetEpsilon, resume = false } = options;
  const charging = { dataset, budgetEpsilon, state: { path: out.statePath, resume }, out: options.out };
  const request = chargedRequest(tuning, charging, io.message, (charged) => {
    total = charged;
  });
  const checked = await checkTuning(request);
  for (const line of [...describeData(tuning), ...describeSchedule(schedule, tuning, givenSchedule(options))])
    io.message(line);
  if (plan) for (const line of describePrivacy(plan, options.delta === undefined, test !== undefined)) io.message(line);
  let written: string | undefined;
  const whenStopped = (step: number) =>
    written !== undefined
      ? `Stopped measuring; the prompt is finished: ${written}. softpost evaluate measures it.`
      : resumable(step);
  const { loss, privacy, measured, folder } = await engineRun(io, whenStopped, async (engine, watch) => {
    const tuned = await tunePrompt(checked, engine, watch);
    const folder = await out.finish(async (folder) => {
      await writePrompt(folder, tuned);
      if (plan) await finishCharged(out.statePath);
    }, io.message);
    forgetRunId(out.statePath);
    written = folder;
    const measured = test && (await evaluateRows({ model, prompt: tuned.prompt }, test, engine, watch));
    return { loss: tuned.loss, privacy: tuned.facts.privacy, measured, folder };
  });
  io.result(
    { ...schedule, loss, ...figuresOf(measured), privacy, total: total ?? null, out: folder },
    describeEnd({ ...tuning, out: folder, loss, measured, total }).join("\n"),
  );
}

async function readInputs(options: Options, io: Io): Promise<Tuning> {
  const task = await readTask(options.task);
  const model = await loadModel(options.model, io);
  const start =
    options.prompt === undefined ? undefined : await loadPrompt(options.prompt, model, { task }, telling(io));
  const train = await dataFile(options.train, options, io);
  return readTuning({ ...options, ...givenSchedule(options), model, task, train, start }, io.message);
}

function givenSchedule({ epochs, steps, batchSize, lr, average }: Options): GivenSchedule {
  return { epochs, steps, batchSize, learningRate: lr, averagedSteps: average };
}

/** The figures of the --eval rows that the result has: null without such rows. */
function figuresOf(measured: TaskEvaluation | undefined) {
  if (measured?.kind === "generation") {
    const { exactMatch, f1 } = measured.figures;
    return { accuracy: null, exactMatch, f1 };
  }
  const { accuracy = null, baselines = null, classes = null } = measured?.figures ?? {};
  return { accuracy, baselines, classes };
}
