import { type Command, InvalidArgumentError } from "commander";
import { refuseUnits } from "../../shared/data/jsonl.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { encodedExamples, encodedTexts } from "../../shared/operations/texts.ts";
import { transferPrompt } from "../../shared/operations/transfer.ts";
import { writePrompt } from "../../shared/operations/write-prompt.ts";
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
  alpha: number | "auto";
  alphaData?: string;
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
    .option("--alpha <a>", "weight of the movement term, 0 to 1, or auto", alphaOption, 0.5)
    .option("--alpha-data <file>", "labelled public rows of a like task, from which --alpha auto chooses")
    .option("--steps <n>", "optimiser steps", wholeNumber(1), 5000)
    .option("--batch-size <n>", "texts a step", wholeNumber(1), 16)
    .option("--lr <x>", "learning rate", positiveNumber, 1e-3)
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
  const texts = await encodedTexts(options.public, task, target, io.message);
  const { alphaData, steps, batchSize, lr: learningRate, seed, resume = false } = options;
  const { sha256: digest } = await hashFile(options.public);
  const request = {
    target,
    student,
    prompt,
    publicSet: { id: neutralId("public", digest), digest, file: options.public, texts },
    alpha:
      alphaData === undefined
        ? Number(options.alpha)
        : { labelled: await encodedExamples(alphaData, task, target, io.message) },
    steps,
    batchSize,
    learningRate,
    seed,
    state: { path: out.statePath, resume },
  };
  const { loss, alpha, ...moved } = await engineRun(io, (engine, watch) =>
    transferPrompt(request, { use: (_, run) => run(engine), bareStates: (_, compute) => compute(), watch }),
  );
  await out.finish((folder) => writePrompt(folder, moved));
  io.result(
    { steps, loss, alpha, out: options.out },
    `${options.out}: public loss ${loss.toPrecision(4)}, alpha ${alpha}`,
  );
}
