import type { Command } from "commander";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { writeStudentRecord } from "../../shared/data/student-record.ts";
import { maskTokens } from "../../shared/data/tokenizer.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import { distill } from "../../shared/training/distill.ts";
import { loadCorpus, loadModel, requireFinite, requireFullPrecision } from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import { layerList, positiveNumber, wholeNumber } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";

interface Options {
  teacher: string;
  corpus: string[];
  layers: number[];
  out: string;
  steps: number;
  batchSize: number;
  maxLength: number;
  lr: number;
  seed: number;
  resume?: boolean;
}

/** `softpost distill`: a small student that imitates a target. */
export function registerDistill(program: Command, io: Io): void {
  program
    .command("distill")
    .description("compress a target model into a student of a few of its layers")
    .requiredOption("--teacher <dir>", "target model: a folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--corpus <file...>", 'public text files or .jsonl files of {"text"}')
    .option("--layers <list>", "layers of the target that the student starts from", layerList, [0, -1])
    .requiredOption("--out <dir>", "new folder for the student")
    .option("--steps <n>", "optimiser steps", wholeNumber(1), 1000)
    .option("--batch-size <n>", "rows a step", wholeNumber(1), 8)
    .option("--max-length <n>", "tokens a row", wholeNumber(2), 128)
    .option("--lr <x>", "peak learning rate", positiveNumber, 2.5e-4)
    .option("--seed <n>", "seed of the order", wholeNumber(0), 0)
    .option("--resume", "go on with an unfinished run")
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  requireFullPrecision(io);
  const { layers, steps, batchSize, maxLength: length, lr: learningRate, seed, resume = false } = options;
  const out = await openOut(options.out, options);
  const { folder: teacherFolder, checkpoint, tokenizer, record } = await loadModel(options.teacher, io);
  io.message(`Tokenising ${options.corpus.length} files.`);
  const tokens = await loadCorpus(options.corpus, tokenizer, checkpoint.config.vocabulary);
  const corpus = await sha256(new Uint8Array(tokens.buffer));
  const shared = { steps, batchSize, length, learningRate, seed };
  const settings = { command: "distill", teacher: record.digest, corpus, layers: layers.join(), ...shared };
  const student = await engineRun(io, (engine, watch) => {
    const state = { path: out.statePath, settings, resume };
    const mask = maskTokens(tokenizer, checkpoint.config.vocabulary);
    return distill({ engine, teacher: checkpoint, layers, tokens, mask, ...shared, state }, watch);
  });
  for (const [name, { data }] of Object.entries(student.weights)) requireFinite(data, `The student's ${name}`);
  await out.finish(async (folder) => {
    await writeCheckpoint(folder, student.json, student.weights);
    await copyTokenizer(teacherFolder, folder);
    const teacher = { digest: record.digest, layers: checkpoint.config.layers };
    await writeStudentRecord(folder, {
      teacher,
      layers,
      training: { steps, batchSize, maxLength: length, learningRate, seed },
    });
  });
  const { loss } = student;
  io.result(
    { steps, loss, layers, tokens: tokens.length, out: options.out },
    `${options.out}: loss ${loss.toFixed(4)}`,
  );
}
