import { type Command, Option } from "commander";
import { initialisationIds } from "../../shared/data/encode.ts";
import { readTask } from "../../shared/data/files.ts";
import { readTexts } from "../../shared/data/jsonl.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { writePromptFolder } from "../../shared/data/prompt-folder.ts";
import { ACCOUNTANTS, type Accountant } from "../../shared/privacy/accountant.ts";
import { createPlan, type PrivacyPlan } from "../../shared/privacy/plan.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { cryptoRandom } from "../../shared/protocol/random.ts";
import type { Task } from "../../shared/protocol/task.ts";
import { dpTune } from "../../shared/training/dp-tune.ts";
import { figures, predict } from "../../shared/training/evaluate.ts";
import type { Watch } from "../../shared/training/events.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import { ADAM } from "../../shared/training/optimizers.ts";
import type { RunSettings } from "../../shared/training/run-state.ts";
import { type LabelledText, type Order, type Tuning, tune } from "../../shared/training/tune.ts";
import {
  type LoadedModel,
  type LoadedPrompt,
  loadLabelled,
  loadModel,
  loadPrompt,
  loadVerbalizer,
  requireFinite,
  requireRoom,
} from "../inputs.ts";
import { engineRun } from "../long-run.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import { openOut } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { type Ledger, openLedger } from "../privacy-ledger.ts";
import { forgetRunId, runIdOf } from "../run-id.ts";

/** The paper's prompts have 100 rows, tuned for 20 epochs (POST, table 10). */
const PROMPT_TOKENS = 100;
const EPOCHS = 20;
/** The reference implementation's clip norm. */
const CLIP = 1;

interface Options {
  model: string;
  task: string;
  train: string;
  eval?: string;
  prompt?: string;
  out: string;
  promptTokens?: number;
  epochs?: number;
  steps?: number;
  batchSize: number;
  optimizer: "adam" | "sgd";
  lr: number;
  average: number;
  seed: number;
  shuffle: boolean;
  epsilon?: number;
  noiseMultiplier?: number;
  delta?: number;
  clip?: number;
  accountant?: Accountant;
  budgetEpsilon?: number;
  dataset?: string;
  resume?: boolean;
}

/** `softpost tune`: a soft prompt for a task, from private data, on this machine. */
export function registerTune(program: Command, io: Io): void {
  const epsilon = new Option("--epsilon <e>", "tune with differential privacy of at most this ε");
  program
    .command("tune")
    .description("tune a soft prompt on private data, which never leaves this machine")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption("--train <file>", "labelled private rows (JSONL)")
    .option(
      "--eval <file>",
      "labelled rows, public ones if the tuning is private, to measure the accuracy on afterwards",
    )
    .option("--prompt <dir>", "soft prompt to start from (default: the task's init text)")
    .requiredOption("--out <dir>", "new folder for the prompt")
    .option("--prompt-tokens <n>", `virtual tokens (default: ${PROMPT_TOKENS})`, wholeNumber(1))
    .option("--epochs <n>", `passes over the data (default: ${EPOCHS})`, positiveNumber)
    .addOption(new Option("--steps <n>", "optimiser steps").argParser(wholeNumber(1)).conflicts("epochs"))
    .option("--batch-size <n>", "examples a step; with differential privacy the expected number", wholeNumber(1), 32)
    .addOption(new Option("--optimizer <name>", "optimiser").choices(["adam", "sgd"]).default("adam"))
    .option("--lr <x>", "learning rate", positiveNumber, 1e-3)
    .option(
      "--average <n>",
      "make the prompt the mean over this many last steps, not the last alone",
      wholeNumber(1),
      1,
    )
    .option("--seed <n>", "seed of the order; noise never has a seed", wholeNumber(0), 0)
    .option("--no-shuffle", "take the examples in file order")
    .addOption(epsilon.argParser(positiveNumber).conflicts("noiseMultiplier"))
    .option("--noise-multiplier <s>", "noise in units of the clip norm, instead of --epsilon", positiveNumber)
    .option("--delta <d>", "δ of the guarantee, at most 1 / examples", numberBetween(0, 1))
    .option("--clip <c>", `norm that an example's gradient is clipped to (default: ${CLIP})`, positiveNumber)
    .addOption(new Option("--accountant <name>", "accountant").choices(ACCOUNTANTS))
    .option("--budget-epsilon <e>", "refuse if all runs on this data would compose to a larger ε", positiveNumber)
    .option(
      "--dataset <name>",
      "count all runs under this name together: for data that grow or shrink (identical rows always count together)",
    )
    .option("--resume", "go on with an unfinished run")
    .action((options: Options, command: Command) => {
      refuseContradictions(options, command);
      return run(options, io);
    });
}

/** Ends with exit code 2 where flags need or exclude each other. */
function refuseContradictions(options: Options, command: Command): void {
  const { epsilon, noiseMultiplier, delta, shuffle } = options;
  if (epsilon !== undefined || noiseMultiplier !== undefined) {
    if (delta === undefined) command.error("error: differential privacy needs --delta, at most 1 / examples");
    if (!shuffle) command.error("error: --no-shuffle contradicts the random sampling of differential privacy");
  } else {
    const lonely = (["delta", "clip", "accountant", "budgetEpsilon", "dataset"] as const).find(
      (name) => options[name] !== undefined,
    );
    if (lonely)
      command.error(
        `error: --${lonely === "budgetEpsilon" ? "budget-epsilon" : lonely} needs --epsilon or --noise-multiplier`,
      );
  }
}

/** All that a run is made of, read and checked. */
interface Inputs {
  readonly task: Task;
  readonly loaded: LoadedModel;
  readonly classes: readonly Int32Array[];
  readonly given: LoadedPrompt | undefined;
  readonly virtualTokens: number;
  readonly train: readonly LabelledText[];
  readonly test: readonly LabelledText[] | undefined;
  readonly steps: number;
  readonly plan: PrivacyPlan | null;
}

async function run(options: Options, io: Io): Promise<void> {
  const out = await openOut(options.out, options);
  const inputs = await loadInputs(options, io);
  const { task, loaded, given, virtualTokens, steps, plan } = inputs;
  const settings = await settingsOf(options, inputs);
  const state = { path: out.statePath, settings, resume: options.resume === true };
  if (plan) await chargeRun(options, plan, out.statePath, io);
  const { tuned, accuracy } = await tuneAndMeasure(options, inputs, state, io);
  const { optimizer, lr: learningRate, batchSize, average: averagedSteps } = options;
  const training = { optimizer, learningRate, steps, batchSize, ...(averagedSteps > 1 && { averagedSteps }) };
  requireFinite(tuned.prompt.data, "The prompt's values");
  await out.finish(async (folder) => {
    const prompt = {
      prompt: tuned.prompt.data as Float32Array,
      virtualTokens,
      dimension: loaded.checkpoint.config.width,
    };
    const text = given?.manifest?.initialisation.text ?? task.init;
    const initialisation = given ? { text, promptDigest: given.digest } : { text };
    await writePromptFolder(folder, prompt, { task, model: loaded.record, initialisation, training, privacy: plan });
  });
  forgetRunId(out.statePath);
  const guarantee = plan ? `, ε ${plan.epsilon.toPrecision(4)} at δ ${plan.delta}` : "";
  const measured = accuracy === null ? "" : `, accuracy ${(100 * accuracy).toFixed(1)} %`;
  io.result(
    { steps, loss: tuned.loss, accuracy, privacy: plan, out: options.out },
    `${options.out}: loss ${tuned.loss.toFixed(4)}${measured}${guarantee}`,
  );
}

/** Writes the run to the private data's ledger before it starts: from here on it is spent, whatever becomes of the run. */
async function chargeRun(options: Options, plan: PrivacyPlan, statePath: string, io: Io): Promise<void> {
  const { train, dataset } = options;
  const texts = await readTexts(train);
  const ledger = openLedger({ texts, fileDigests: [(await hashFile(train)).sha256], dataset });
  warnOfKnownRows(ledger, io);
  const runId = runIdOf(statePath, options.resume === true);
  const { sampleRate, noiseMultiplier, steps, delta } = plan;
  const budget = options.budgetEpsilon === undefined ? undefined : { epsilon: options.budgetEpsilon, delta };
  const entries = await ledger.charge({ runId, sampleRate, noiseMultiplier, steps, delta }, budget);
  io.message(`Charged to the ledger of this data as run ${entries.length} (softpost privacy ledger shows all).`);
}

/** Says if most rows were charged before without counting together with this run. */
function warnOfKnownRows(ledger: Ledger, io: Io): void {
  const { known, most, others } = ledger.overlap();
  if (!most) return;
  const names = others.map(({ name, runs }) => `${name} (${runs} ${runs === 1 ? "run" : "runs"})`).join(", ");
  io.message(
    `${known} of the ${ledger.rows} rows are in other data sets of the ledger too: ${names}. Their runs don't count together with ` +
      `this one. If it is the same data, grown or shrunk, say --dataset ${others[0]!.name}.`,
  );
}

async function loadInputs(options: Options, io: Io): Promise<Inputs> {
  const task = await readTask(options.task);
  const loaded = await loadModel(options.model, io);
  const classes = loadVerbalizer(task, loaded, io);
  const given = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, loaded, io, task);
  const virtualTokens = given?.virtualTokens ?? options.promptTokens ?? PROMPT_TOKENS;
  requireRoom(task, virtualTokens, loaded);
  const train = await loadLabelled(options.train, task, loaded, io);
  const test = options.eval === undefined ? undefined : await loadLabelled(options.eval, task, loaded, io);
  const steps = options.steps ?? Math.ceil(((options.epochs ?? EPOCHS) * train.length) / options.batchSize);
  if (options.average > steps)
    throw new ProblemError(
      "More steps to average than to do",
      `--average is ${options.average}, the run has ${steps} steps`,
    );
  const plan = planOf(options, train.length, steps);
  return { task, loaded, classes, given, virtualTokens, train, test, steps, plan };
}

function planOf(options: Options, records: number, steps: number): PrivacyPlan | null {
  const { epsilon, noiseMultiplier, delta, clip = CLIP, batchSize, accountant } = options;
  if (delta === undefined) return null;
  return createPlan({ records, batchSize, steps, clip, delta, epsilon, noiseMultiplier, accountant });
}

/** What must be equal for a run to be resumed. */
async function settingsOf(options: Options, inputs: Inputs): Promise<RunSettings> {
  const { task, loaded, given, virtualTokens, steps, plan } = inputs;
  const train = await hashFile(options.train);
  return {
    ...{ command: "tune", model: loaded.record.digest, task: JSON.stringify(task), train: train.sha256 },
    ...{ start: given?.digest ?? "init", virtualTokens, steps, batchSize: options.batchSize },
    ...{ optimizer: options.optimizer, learningRate: options.lr, averagedSteps: options.average },
    ...{ seed: options.seed, shuffle: options.shuffle },
    privacy: plan && JSON.stringify(plan),
  };
}

function tuneAndMeasure(options: Options, inputs: Inputs, state: Tuning["state"], io: Io) {
  const { task, loaded, classes, given, virtualTokens, train, test, steps, plan } = inputs;
  const { model } = loaded;
  const optimizer = options.optimizer === "sgd" ? ({ name: "sgd" } as const) : ADAM;
  return engineRun(io, async (engine, watch) => {
    const ids = () => initialisationIds(loaded.tokenizer, task.init, virtualTokens);
    const start = given?.value ?? (await initialPrompt(engine, model, ids()));
    const tuning = {
      engine,
      model,
      classes,
      examples: train,
      start,
      optimizer,
      learningRate: options.lr,
      averagedSteps: options.average,
      state,
    };
    const tuned = plan
      ? await privately(tuning, plan, test !== undefined, io, watch)
      : await tune({ ...tuning, ...openly(options, steps) }, watch);
    if (!test) return { tuned, accuracy: null };
    const labels = test.map(({ label }) => label);
    const probabilities = await predict({ engine, model, classes, prompt: tuned.prompt }, test, watch);
    return { tuned, accuracy: figures(probabilities, labels, classes.length).accuracy };
  });
}

function openly({ shuffle, seed, batchSize }: Options, steps: number) {
  const order: Order = shuffle ? { kind: "shuffled", seed } : { kind: "file" };
  return { steps, batchSize, order };
}

async function privately(tuning: Tuning, plan: PrivacyPlan, evaluated: boolean, io: Io, watch: Watch) {
  io.message(
    `Differential privacy: ε ${plan.epsilon.toPrecision(4)} at δ ${plan.delta} (${plan.accountant}), noise multiplier ` +
      `${plan.noiseMultiplier.toPrecision(4)}, sample rate ${plan.sampleRate.toPrecision(4)}, ${plan.steps} steps.`,
  );
  if (evaluated) {
    io.message(
      "The accuracy on the --eval rows is not part of the guarantee: if they are private, keep it to yourself and choose nothing by it.",
    );
  }
  const tuned = await dpTune({ ...tuning, plan, random: cryptoRandom }, watch);
  if (tuned.leftOut > 0) io.message(`${tuned.leftOut} gradients were not finite and counted as zero.`);
  return tuned;
}
