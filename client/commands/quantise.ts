import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { writeQuantised } from "../../shared/models/quantise.ts";
import { WEIGHT_FILE } from "../../shared/models/quantised-files.ts";
import { requireUnchanged, told } from "../../shared/operations/narrow-weights.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { BLOCK_SIZES, type BlockQuantisation, usualQuantisation } from "../../shared/protocol/weights.ts";
import { loadModel } from "../inputs.ts";
import { digestRecords } from "../local/model.ts";
import { longRun, nothingWritten } from "../long-run.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { bytes, next } from "../words.ts";

interface Options {
  readonly model: string;
  readonly out: string;
  readonly block?: string;
  readonly symmetric?: boolean;
  readonly zeroPoints?: boolean;
  readonly head?: boolean;
  readonly embeddings?: boolean;
}

const NOTES = `
The folder holds model.safetensors, quantisation.json (of which model, and how), config.json and the tokenizer. Prompts of it carry the published model's digest.
Without this command --weights int8 or int4 makes such weights when they are wanted first, and keeps them in $SOFTPOST_HOME/weights.

Example:
  softpost quantise --model models/target --weights int4 --out models/target-int4

Next: softpost tune --model models/target-int4`;

/** `softpost quantise`: a model with its matrices in 8 or 4 bits. */
export function registerQuantise(program: Command, io: Io): void {
  program
    .command("quantise")
    .description("write a model with the matrices of its layers in 8 or 4 bits (--weights int8 or int4)")
    .requiredOption("--model <name>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--out <dir>", "new folder for the quantised model")
    .addOption(new Option("--block <n>", "values that share a scale (default: 64)").choices(BLOCK_SIZES.map(String)))
    .addOption(
      new Option("--symmetric", "blocks around 0, without zero points (int8's default)").conflicts("zeroPoints"),
    )
    .option("--zero-points", "blocks from their least to their largest value (int4's default)")
    .option("--head", "the head too: answers take less memory and time, and differ more")
    .option("--embeddings", "the token embeddings too")
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const quantisation = quantisationOf(options, io);
  using out = await openOut(options.out, {});
  const model = await loadModel(options.model, io, { weights: "stored" });
  if (model.checkpoint.quantisation) {
    const detail = `${options.model} is quantised already: what was rounded once is not rounded again. Take the published model.`;
    throw new ProblemError("The model is quantised", detail, { status: 422 });
  }
  const { checkpoint, record } = model;
  const written = await longRun(io, nothingWritten, ({ onEvent, signal }) =>
    out.finish(async (folder) => {
      const how = { source: record.digest, quantisation, whole: true, ...told(onEvent, quantisation), signal };
      await writeQuantised(checkpoint, folder, how);
      await requireUnchanged(checkpoint.folder, record.digest, digestRecords({ verify: false }).hash);
      // Not its config.json, which may say that a head is tied that isn't.
      await writeFile(join(folder, "config.json"), `${JSON.stringify(checkpoint.json, null, 2)}\n`);
      await copyTokenizer(checkpoint.folder, folder);
    }, io.message),
  );
  const { size } = await stat(join(written, WEIGHT_FILE));
  const { weights, block } = quantisation;
  io.result(
    { quantisation, source: record.digest, size, out: written },
    [
      `${written}: ${weights} weights of ${model.name} in blocks of ${block}, ${bytes(size)}`,
      next("tune", "--model", written),
    ].join("\n"),
  );
}

/** @throws ProblemError if --weights isn't a form that this command makes */
function quantisationOf({ block, symmetric, zeroPoints, head, embeddings }: Options, io: Io): BlockQuantisation {
  const { weights } = io;
  if (weights !== "int8" && weights !== "int4") {
    const detail = "Name the form of the quantised weights: --weights int8 or --weights int4.";
    throw new ProblemError("The form of the weights is missing", detail);
  }
  const usual = usualQuantisation(weights) as BlockQuantisation;
  return {
    ...usual,
    block: BLOCK_SIZES.find((size) => String(size) === block) ?? usual.block,
    symmetric: symmetric ?? (zeroPoints ? false : usual.symmetric),
    head: head ?? false,
    embeddings: embeddings ?? false,
  };
}
