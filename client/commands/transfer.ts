import { type Command, InvalidArgumentError } from "commander";
import { initialisationIds } from "../../shared/data/encode.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { writePromptFolder } from "../../shared/data/prompt-folder.ts";
import type { Engine } from "../../shared/graph/engine.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { figures, predict } from "../../shared/training/evaluate.ts";
import type { Watch } from "../../shared/training/events.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import { TEMPERATURE } from "../../shared/training/losses.ts";
import { ADAM } from "../../shared/training/optimizers.ts";
import { chooseAlpha, readStates, transfer } from "../../shared/training/transfer.ts";
import type { LabelledText } from "../../shared/training/tune.ts";
import {
  type LoadedModel,
  type LoadedPrompt,
  loadLabelled,
  loadModel,
  loadPrompt,
  loadTexts,
  loadVerbalizer,
  requireFinite,
  requireRoom,
} from "../inputs.ts";
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

/** Two models and the prompt that goes from one to the other. */
interface Parties {
  readonly target: LoadedModel;
  readonly student: LoadedModel;
  readonly prompt: LoadedPrompt;
  readonly manifest: Manifest;
}

async function run(options: Options, io: Io): Promise<void> {
  const out = await openOut(options.out, options);
  const parties = await loadParties(options, io);
  const { target, student, prompt, manifest } = parties;
  const { task } = manifest;
  const texts = await loadTexts(options.public, task, target, io);
  const labelled =
    options.alphaData === undefined ? undefined : await loadLabelled(options.alphaData, task, target, io);
  const publicSet = await hashFile(options.public);
  const { steps, batchSize, lr: learningRate, seed } = options;

  const { result, alpha } = await engineRun(io, async (engine, watch) => {
    const start = await sharedStart(engine, parties);
    const alpha = labelled ? await autoAlpha(engine, parties, labelled, io, watch) : Number(options.alpha);
    const cache = {
      target: await readStates(engine, target.model, texts, "reading the target", watch),
      student: await readStates(engine, student.model, texts, "reading the student", watch),
      studentPrompted: await readStates(
        engine,
        student.model,
        texts,
        "reading the prompted student",
        watch,
        prompt.value,
      ),
    };
    const shared = { alpha, steps, batchSize, learningRate, seed };
    const settings = {
      ...{ command: "transfer", target: target.record.digest, student: student.record.digest },
      ...{ prompt: prompt.digest, public: publicSet.sha256, ...shared },
    };
    const state = { path: out.statePath, settings, resume: options.resume === true };
    const request = {
      engine,
      target: target.model,
      publicTexts: texts,
      cache,
      start,
      optimizer: ADAM,
      ...shared,
      state,
    };
    return { result: await transfer(request, watch), alpha };
  });

  requireFinite(result.prompt.data, "The prompt's values");
  await out.finish(async (folder) => {
    const { virtualTokens, dimension } = prompt;
    const data = result.prompt.data as Float32Array;
    await writePromptFolder(
      folder,
      { prompt: data, virtualTokens, dimension },
      {
        ...manifest,
        model: target.record,
        transfer: {
          student: student.record,
          promptDigest: prompt.digest,
          publicSet: { id: neutralId("public", publicSet.sha256), digest: publicSet.sha256, examples: texts.length },
          ...{ alpha, temperature: TEMPERATURE, training: { optimizer: "adam", learningRate, steps, batchSize } },
        },
      },
    );
  });
  const { loss } = result;
  io.result(
    { steps, loss, alpha, out: options.out },
    `${options.out}: public loss ${loss.toPrecision(4)}, alpha ${alpha}`,
  );
}

async function loadParties(
  { target: targetName, student: studentName, prompt: folder }: Options,
  io: Io,
): Promise<Parties> {
  const student = await loadModel(studentName, io);
  const prompt = await loadPrompt(folder, student, io);
  const { manifest } = prompt;
  if (!manifest) {
    throw new ProblemError(
      "The task is not known",
      `${folder} has no softpost.json, which says for what task the prompt is.`,
    );
  }
  const target = await loadModel(targetName, io);
  requireRoom(manifest.task, prompt.virtualTokens, target);
  return { target, student, prompt, manifest };
}

/**
 * Where the target's prompt starts: the embeddings of the text that the student's prompt started from.
 *
 * @throws ProblemError if those aren't the student's embeddings too: then it isn't a student of this target
 */
async function sharedStart(engine: Engine, { target, student, prompt, manifest }: Parties) {
  const ids = initialisationIds(target.tokenizer, manifest.initialisation.text, prompt.virtualTokens);
  const start = await initialPrompt(engine, target.model, ids);
  const same = await initialPrompt(engine, student.model, ids);
  if (start.data.length !== same.data.length || !start.data.every((value, i) => value === same.data[i])) {
    const detail = `${student.folder} does not have the token embeddings of ${target.folder}.`;
    throw new ProblemError("The student is not of this target", detail, { status: 422 });
  }
  return start;
}

async function autoAlpha(
  engine: Engine,
  { target, student, prompt, manifest }: Parties,
  labelled: readonly LabelledText[],
  io: Io,
  watch: Watch,
): Promise<number> {
  const classes = loadVerbalizer(manifest.task, target, io);
  const labels = labelled.map(({ label }) => label);
  const accuracy = async (classifier: { model: LoadedModel["model"]; prompt?: LoadedPrompt["value"] }) =>
    figures(await predict({ engine, classes, ...classifier }, labelled, watch), labels, classes.length).accuracy;
  const zeroShot = await accuracy({ model: target.model });
  const prompted = await accuracy({ model: student.model, prompt: prompt.value });
  return chooseAlpha(zeroShot, prompted, classes.length);
}
