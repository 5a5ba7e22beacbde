import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { readCorpus } from "../../shared/data/corpus.ts";
import { distillStudent, writeStudent } from "../../shared/operations/distill.ts";
import { allChecks } from "../all-checks.ts";
import { type ColumnOptions, dataFiles, ROW_FORMATS, withColumns } from "../data-file.ts";
import { loadModel, requireFullPrecision } from "../inputs.ts";
import { DISTILL_DEFAULTS } from "../local/distill.ts";
import { engineRun, resumable } from "../long-run.ts";
import { layerList, type WeightTrainingOptions, withEarlierName, withWeightTraining } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";
import { bytes, count, next } from "../words.ts";

interface Options extends WeightTrainingOptions, ColumnOptions {
  target: string;
  public: string[];
  layers?: number[];
}

const NOTES = `
Publish the student's folder: clients tune on it, and their prompts are transferred to the target.

Example:
  softpost distill --target models/target --public public.jsonl --layers 0,-1 --out models/student

Next: softpost serve --dir provider --target models/target --student models/student --public public.jsonl`;

/** `softpost distill`: a small student that imitates a target. */
export function registerDistill(program: Command, io: Io): void {
  const command = program
    .command("distill")
    .description("compress a target model into a student of a few of its layers")
    .requiredOption("--target <dir>", "the model to imitate: a folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--public <file...>", `public text files, or rows of {"text"} (${ROW_FORMATS})`)
    .option(
      "--layers <list>",
      `layers of the target that the student starts from; negative ones count from the end (default: ${DISTILL_DEFAULTS.layers})`,
      layerList,
    )
    .requiredOption("--out <dir>", "new folder for the student");
  withWeightTraining(command, { ...DISTILL_DEFAULTS, seed: "seed of the order" })
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text"]);
  withEarlierName(command, "--teacher <dir>", "target");
  withEarlierName(command, "--corpus <file...>", "public");
}

async function run(options: Options, io: Io): Promise<void> {
  requireFullPrecision(io);
  const {
    layers = DISTILL_DEFAULTS.layers,
    steps,
    batchSize,
    maxLength: length,
    lr: learningRate,
    seed,
    resume = false,
  } = options;
  const [read, opened] = await allChecks(
    () => readInputs(options, io),
    () => openOut(options.out, options),
  );
  using out = opened;
  const { target } = read;
  using tokens = read.tokens;
  const state = { path: out.statePath, resume };
  const request = { teacher: target, tokens, layers, steps, batchSize, length, learningRate, seed, state };
  const student = await engineRun(io, resumable, (engine, watch) => distillStudent(request, engine, watch));
  const folder = await out.finish((folder) => writeStudent(folder, student, request), io.message);
  const { loss, nextToken } = student;
  const of = target.checkpoint.config.layers;
  const sizes = { target: await folderSize(target.folder), student: await folderSize(folder) };
  const table = tableLines([
    ["", "layers", "size", "next-token loss"],
    ["target", String(of), bytes(sizes.target), nextToken.target.toFixed(3)],
    ["student", String(layers.length), bytes(sizes.student), nextToken.student.toFixed(3)],
  ]);
  io.result(
    { steps, loss, nextToken, layers, tokens: tokens.length, sizes, out: folder },
    [
      `${folder}: student of layers ${layers} of ${target.name}, ${count(steps, "step")} on ${count(tokens.length, "token")}`,
      ...table,
      "The next-token losses are on the same rows of the public text, in nats; the nearer, the better a prompt can travel.",
      next(
        "serve",
        "--dir",
        "provider",
        "--target",
        options.target,
        "--student",
        folder,
        "--public",
        options.public[0]!,
      ),
    ].join("\n"),
  );
}

async function readInputs(options: Options, io: Io) {
  const target = await loadModel(options.target, io);
  const given = await dataFiles(options.public, options, io);
  io.message(`Tokenising ${count(options.public.length, "file")}.`);
  return { target, tokens: await readCorpus(given, target.tokenizer) };
}

async function folderSize(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
