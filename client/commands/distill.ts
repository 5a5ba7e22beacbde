import type { Command } from "commander";
import { readCorpus } from "../../shared/data/corpus.ts";
import { distillStudent, writeStudent } from "../../shared/operations/distill.ts";
import { loadModel, requireFullPrecision } from "../inputs.ts";
import { engineRun, resumable } from "../long-run.ts";
import { layerList, type WeightTrainingOptions, withWeightTraining } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";

interface Options extends WeightTrainingOptions {
  teacher: string;
  corpus: string[];
  layers: number[];
}

/** `softpost distill`: a small student that imitates a target. */
export function registerDistill(program: Command, io: Io): void {
  const command = program
    .command("distill")
    .description("compress a target model into a student of a few of its layers")
    .requiredOption("--teacher <dir>", "target model: a folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--corpus <file...>", 'public text files or .jsonl files of {"text"}')
    .option("--layers <list>", "layers of the target that the student starts from", layerList, [0, -1])
    .requiredOption("--out <dir>", "new folder for the student");
  withWeightTraining(command, { batchSize: 8, learningRate: 2.5e-4, seed: "seed of the order" }).action(
    (options: Options) => run(options, io),
  );
}

async function run(options: Options, io: Io): Promise<void> {
  requireFullPrecision(io);
  const { layers, steps, batchSize, maxLength: length, lr: learningRate, seed, resume = false } = options;
  const out = await openOut(options.out, options);
  const teacher = await loadModel(options.teacher, io);
  io.message(`Tokenising ${options.corpus.length} files.`);
  const tokens = await readCorpus(options.corpus, teacher.tokenizer);
  const state = { path: out.statePath, resume };
  const request = { teacher, tokens, layers, steps, batchSize, length, learningRate, seed, state };
  const student = await engineRun(io, resumable, (engine, watch) => distillStudent(request, engine, watch));
  await out.finish((folder) => writeStudent(folder, student, request));
  const { loss } = student;
  io.result(
    { steps, loss, layers, tokens: tokens.length, out: options.out },
    `${options.out}: loss ${loss.toFixed(4)}`,
  );
}
