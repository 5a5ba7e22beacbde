import { dirname } from "node:path";
import type { Command } from "commander";
import { readCorpus } from "../../shared/data/corpus.ts";
import { readText } from "../../shared/data/files.ts";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { partOf, type TokenStream, type Tokens, tokensDigest } from "../../shared/data/token-stream.ts";
import { loadTokenizer, maskTokens } from "../../shared/data/tokenizer.ts";
import { configureModel } from "../../shared/models/configure.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { requireFinite } from "../../shared/operations/checks.ts";
import { parseJson } from "../../shared/protocol/json.ts";
import { type PretrainOptions, pretrain } from "../../shared/training/pretrain.ts";
import { type ColumnOptions, dataFiles, ROW_FORMATS, withColumns } from "../data-file.ts";
import { requireFullPrecision } from "../inputs.ts";
import { engineRun, resumable } from "../long-run.ts";
import { type WeightTrainingOptions, withWeightTraining } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { count } from "../words.ts";

/** Of a corpus without a held-out file, the part at its end that is held out. */
const HELD_OUT = 0.01;

interface Options extends WeightTrainingOptions, ColumnOptions {
  corpus: string[];
  heldOut?: string[];
  config: string;
  tokenizer?: string;
}

const EXAMPLE = `
Example:
  softpost pretrain --corpus public.jsonl --config small/config.json --out models/target

Next: softpost distill --target models/target --public public.jsonl --out models/student`;

/** `softpost pretrain`: a small language model from random weights. */
export function registerPretrain(program: Command, io: Io): void {
  const command = program
    .command("pretrain")
    .description("train a small language model from text")
    .requiredOption("--corpus <file...>", `text files, or rows of {"text"} (${ROW_FORMATS})`)
    .option("--held-out <file...>", "files to measure the loss on (default: the last 1 % of the corpus)")
    .requiredOption("--config <file>", "config.json of the model to make")
    .option("--tokenizer <dir>", "folder with tokenizer.json (default: the config's)")
    .requiredOption("--out <dir>", "new folder for the model");
  withColumns(command, ["text"]);
  withWeightTraining(command, { batchSize: 16, learningRate: 3e-3, seed: "seed of weights and order" })
    .addHelpText("after", EXAMPLE)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  requireFullPrecision(io);
  using out = await openOut(options.out, options);
  const json = parseJson(await readText(options.config), options.config) as Record<string, unknown>;
  const model = configureModel(json, options.config);
  const tokenizerFolder = options.tokenizer ?? dirname(options.config);
  const tokenizer = await loadTokenizer(tokenizerFolder, json);
  const files = {
    corpus: await dataFiles(options.corpus, options, io),
    heldOut: options.heldOut && (await dataFiles(options.heldOut, options, io)),
  };
  const trained = await engineRun(io, resumable, async (engine, watch) => {
    watch.onEvent?.({ kind: "note", text: `Tokenising ${count(files.corpus.length, "file")}.` });
    using all = await readCorpus(files.corpus, tokenizer);
    using apart = files.heldOut && (await readCorpus(files.heldOut, tokenizer));
    const { tokens, heldOut } = apart ? { tokens: all, heldOut: apart } : split(all);
    const { steps, batchSize, maxLength: length, lr: learningRate, seed, resume = false } = options;
    const corpus = tokensDigest(tokens);
    const settings = {
      command: "pretrain",
      corpus,
      config: JSON.stringify(json),
      steps,
      batchSize,
      length,
      learningRate,
      seed,
    };
    const request: PretrainOptions = {
      engine,
      ...model,
      tokens,
      heldOut,
      steps,
      batchSize,
      length,
      learningRate,
      seed,
      mask: maskTokens(tokenizer, model.config.vocabulary),
      state: { path: out.statePath, settings, resume },
    };
    return { ...(await pretrain(request, watch)), tokens: tokens.length };
  });
  for (const [name, { data }] of Object.entries(trained.weights)) requireFinite(data, `The model's ${name}`);
  const written = await out.finish(async (folder) => {
    await writeCheckpoint(folder, json, trained.weights);
    await copyTokenizer(tokenizerFolder, folder);
  }, io.message);
  const { loss, heldOutLoss, tokens } = trained;
  const perplexity = Math.exp(heldOutLoss);
  io.result(
    { steps: options.steps, tokens, loss, heldOutLoss, perplexity, out: written },
    `${written}: held-out loss ${heldOutLoss.toFixed(4)} nats a token (perplexity ${perplexity.toFixed(1)})`,
  );
}

/** The last of a corpus, to measure the loss on. */
function split(corpus: TokenStream): { tokens: Tokens; heldOut: Tokens } {
  const cut = Math.floor(corpus.length * (1 - HELD_OUT));
  return { tokens: partOf(corpus, 0, cut), heldOut: partOf(corpus, cut, corpus.length) };
}
