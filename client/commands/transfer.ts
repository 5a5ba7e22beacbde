import type { Command } from "commander";
import type { Data } from "../../shared/data/jsonl.ts";
import { writePrompt } from "../../shared/operations/soft-prompt.ts";
import { transferAs } from "../../shared/operations/transfer-answers.ts";
import { TRANSFER_DEFAULTS } from "../../shared/protocol/transfer-options.ts";
import { allChecks } from "../all-checks.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { describeTravel } from "../describe-transfer.ts";
import { loadModel, telling } from "../inputs.ts";
import { loadPrompt } from "../local/prompt.ts";
import { choosePublic, readTransfer } from "../local/transfer.ts";
import { engineRun, resumable } from "../long-run.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { ALPHA, alphaOrAuto, type HowToTransfer, withHowToTransfer } from "../transfer-options.ts";
import { count, next } from "../words.ts";

interface Options extends HowToTransfer, ColumnOptions {
  target: string;
  student: string;
  prompt: string;
  public: string[];
  out: string;
  open?: boolean;
  alpha?: number | "auto";
  alphaData?: string;
  resume?: boolean;
}

const EXAMPLES = `
Example:
  softpost transfer --target target --student student --prompt prompt --public public.jsonl --out moved

Next: softpost evaluate --model target --prompt moved --data test.jsonl`;

/** `softpost transfer`: a student's prompt becomes a prompt for the target, with public texts only. */
export function registerTransfer(program: Command, io: Io): void {
  const command = program
    .command("transfer")
    .description("turn a prompt that was tuned on a student into one for its target, with public texts")
    .requiredOption("--target <dir>", "target model: a folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--student <dir>", "student of that target")
    .requiredOption("--prompt <dir>", "soft prompt that was tuned on the student")
    .requiredOption(
      "--public <file...>",
      `public rows of {"text"} (${ROW_FORMATS}); of several files, those of the one that the prompted student tells apart best`,
    )
    .requiredOption("--out <dir>", "new folder for the target's prompt")
    .option("--open", "the student is a model of its own, not one that was distilled from the target")
    .option("--alpha <a>", `${ALPHA}, or auto`, alphaOrAuto)
    .option(
      "--alpha-data <file>",
      `labelled public rows of a like task (${ROW_FORMATS}), from which --alpha auto chooses`,
    );
  withHowToTransfer(command)
    .option("--resume", "go on with an unfinished run")
    .addHelpText("after", EXAMPLES)
    .action((options: Options, command: Command) => {
      if ((options.alpha === "auto") !== (options.alphaData !== undefined)) {
        command.error("error: --alpha auto and --alpha-data need each other");
      }
      return run(options, io);
    });
  withColumns(command, ["text", "label"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const { steps = TRANSFER_DEFAULTS.steps, batchSize = TRANSFER_DEFAULTS.batchSize } = options;
  const [read, opened] = await allChecks(
    () => readInputs(options, io),
    () => openOut(options.out, options),
  );
  using out = opened;
  const { target, publicSet, learningRate, ranked } = read;
  io.message(
    `Transfer: ${count(steps, "step")} of ${batchSize} of ${count(publicSet.examples, "public text")}, learning rate ${learningRate}`,
  );
  const request = { ...read, state: { path: out.statePath, resume: options.resume === true } };
  const moved = await engineRun(io, resumable, (engine, watch) =>
    transferAs(request.prompt.manifest.task, request, {
      use: (_, run) => run(engine),
      bareStates: (_, compute) => compute(),
      watch,
    }),
  );
  const folder = await out.finish((folder) => writePrompt(folder, moved), io.message);
  const { travel, advice } = moved;
  for (const text of advice) io.message(text);
  const measured = travel ? [describeTravel(travel)] : [];
  const evaluate = next("evaluate", "--model", options.target, "--prompt", folder, "--data", "FILE");
  const told = `${folder}: soft prompt for ${target.name}, loss ${moved.loss.toPrecision(4)} on public texts`;
  io.result(
    { steps, loss: moved.loss, alpha: moved.alpha, travel, advice, ...(ranked && { ranked }), out: folder },
    [told, ...measured, evaluate].join("\n"),
  );
}

async function readInputs(options: Options, io: Io) {
  const {
    open,
    alpha,
    alphaData,
    loss,
    answers,
    select: selected,
    start: starts,
    steps,
    batchSize,
    lr,
    seed,
  } = options;
  const student = await loadModel(options.student, io);
  const prompt = await loadPrompt(options.prompt, student, {}, telling(io));
  const target = await loadModel(options.target, io);
  const files: Data[] = [];
  for (const name of options.public) files.push(await dataFile(name, options, io));
  const chosen = await choosePublic(
    {
      target,
      student,
      prompt,
      public: files,
      open,
      alpha:
        alphaData === undefined ? (alpha as number | undefined) : { labelled: await dataFile(alphaData, options, io) },
      loss,
      answers,
      selected,
      starts,
      steps,
      batchSize,
      learningRate: lr,
      seed,
    },
    (use) => engineRun(io, resumable, use),
    io.message,
  );
  return readTransfer(chosen, io.message);
}
