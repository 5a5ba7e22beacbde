import { type Command, InvalidArgumentError, Option } from "commander";
import { refuseUnits } from "../../shared/data/jsonl.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { encodedExamples, publicTexts } from "../../shared/operations/texts.ts";
import { transferPrompt } from "../../shared/operations/transfer.ts";
import { writePrompt } from "../../shared/operations/write-prompt.ts";
import {
  LOSSES,
  type LossName,
  STARTS,
  type StartName,
  TRANSFER_DEFAULTS,
  type Travel,
} from "../../shared/protocol/transfer.ts";
import { loadModel, loadPrompt, requireManifest } from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { neutralId } from "../public-names.ts";

interface Options {
  target: string;
  student: string;
  prompt: string;
  public: string;
  out: string;
  open?: boolean;
  loss: LossName;
  alpha: number | "auto";
  alphaData?: string;
  start: StartName[];
  select?: number;
  steps: number;
  batchSize: number;
  lr: number;
  seed: number;
  resume?: boolean;
}

/** `softpost transfer`: a student's prompt becomes a prompt for the target, with public texts only. */
export function registerTransfer(program: Command, io: Io): void {
  program
    .command("transfer")
    .description("turn a prompt that was tuned on a student into one for its target, with public texts")
    .requiredOption("--target <dir>", "target model: a folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--student <dir>", "student of that target")
    .requiredOption("--prompt <dir>", "soft prompt that was tuned on the student")
    .requiredOption("--public <file>", 'public rows of {"text"} (JSONL)')
    .requiredOption("--out <dir>", "new folder for the target's prompt")
    .option("--open", "the student is a model of its own, not one that was distilled from the target")
    .addOption(
      new Option("--loss <name>", "what of student and target is compared: class distributions, or whole vocabularies")
        .choices(LOSSES)
        .default(TRANSFER_DEFAULTS.loss),
    )
    .option("--alpha <a>", "weight of the movement term, 0 to 1, or auto", alphaOption, TRANSFER_DEFAULTS.alpha)
    .option("--alpha-data <file>", "labelled public rows of a like task, from which --alpha auto chooses")
    .addOption(
      new Option(
        "--start <name...>",
        "the words that the student's prompt started from, the prompt itself, or try both",
      )
        .choices(STARTS)
        .default(["words"]),
    )
    .option("--select <n>", "choose so many public texts that carry the task (default: all)", wholeNumber(10))
    .option("--steps <n>", "optimiser steps", wholeNumber(1), TRANSFER_DEFAULTS.steps)
    .option("--batch-size <n>", "texts a step", wholeNumber(1), TRANSFER_DEFAULTS.batchSize)
    .option("--lr <x>", "peak learning rate", positiveNumber, TRANSFER_DEFAULTS.learningRate)
    .option("--seed <n>", "seed of the order", wholeNumber(0), 0)
    .option("--resume", "go on with an unfinished run")
    .action((options: Options, command: Command) => {
      if ((options.alpha === "auto") !== (options.alphaData !== undefined)) {
        command.error("error: --alpha auto and --alpha-data need each other");
      }
      return run(options, io);
    });
}

function alphaOption(text: string): number | "auto" {
  if (text === "auto") return text;
  try {
    return numberBetween(0, 1)(text);
  } catch {
    throw new InvalidArgumentError("It must be a number from 0 to 1, or auto.");
  }
}

async function run(options: Options, io: Io): Promise<void> {
  const out = await openOut(options.out, options);
  const student = await loadModel(options.student, io);
  const prompt = requireManifest(await loadPrompt(options.prompt, student, io), options.prompt);
  const { task } = prompt.manifest;
  const target = await loadModel(options.target, io);
  const unit = prompt.manifest.privacy?.unit;
  if (unit) await refuseUnits(options.public, unit.field);
  const texts = await publicTexts(options.public, task, target, student, io.message);
  const { sha256: digest } = await hashFile(options.public);
  const { open = false, loss, alphaData, start, select = null, steps, batchSize, seed, resume = false } = options;
  const request = {
    target,
    student,
    open,
    prompt,
    publicSet: { id: neutralId("public", digest), digest, ...texts },
    loss,
    alpha:
      alphaData === undefined
        ? Number(options.alpha)
        : { labelled: await encodedExamples(alphaData, task, target, io.message) },
    starts: [...new Set(start)],
    selected: select,
    steps,
    batchSize,
    learningRate: options.lr,
    seed,
    state: { path: out.statePath, resume },
  };
  const moved = await engineRun(io, (engine, watch) =>
    transferPrompt(request, { use: (_, run) => run(engine), bareStates: (_, compute) => compute(), watch }),
  );
  await out.finish((folder) => writePrompt(folder, moved));
  const { alpha, travel, advice } = moved;
  for (const text of advice) io.message(text);
  const measured = travel ? `, ${describeTravel(travel)}` : "";
  io.result(
    { steps, loss: moved.loss, alpha, travel, advice, out: options.out },
    `${options.out}: public loss ${moved.loss.toPrecision(4)}${measured}`,
  );
}

/** How well a prompt travelled, in words. */
export function describeTravel({ agreement, divergence, heldOut }: Travel): string {
  const percent = (100 * agreement).toFixed(1);
  return `student and target agree on ${percent} % of ${heldOut} held-out public texts (divergence ${divergence.toPrecision(3)})`;
}
