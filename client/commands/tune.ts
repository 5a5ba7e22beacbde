import { type Command, Option } from "commander";
import { readTask } from "../../shared/data/files.ts";
import { readTexts, readUnits } from "../../shared/data/jsonl.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { verbalizer } from "../../shared/data/verbalizer.ts";
import { evaluateRows, type TaskEvaluation } from "../../shared/operations/evaluate.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import { checkTuning, type TuneRequest, tunePrompt } from "../../shared/operations/tune.ts";
import { writePrompt } from "../../shared/operations/write-prompt.ts";
import { ACCOUNTANTS, type Accountant } from "../../shared/privacy/accountant.ts";
import { createPlan, type PrivacyPlan } from "../../shared/privacy/plan.ts";
import { unitText } from "../../shared/privacy/unit.ts";
import { cryptoRandom } from "../../shared/protocol/random.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import { ROWS_PER_UNIT } from "../audit-subject.ts";
import { loadModel, loadPrompt } from "../inputs.ts";
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
  privacyUnit?: string;
  rowsPerUnit?: number;
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
    .requiredOption(
      "--train <file>",
      'private rows of {"text", "label"}, or of {"text", "target"} for a generation task (JSONL)',
    )
    .option("--eval <file>", "rows as in --train, public ones if the tuning is private, to measure on afterwards")
    .option("--prompt <dir>", "soft prompt to start from (default: the task's init text)")
    .requiredOption("--out <dir>", "new folder for the prompt")
    .option("--prompt-tokens <n>", `virtual tokens (default: ${PROMPT_TOKENS})`, wholeNumber(1))
    .option(
      "--epochs <n>",
      `passes over the data, by units if they have several rows (default: ${EPOCHS})`,
      positiveNumber,
    )
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
    .option("--privacy-unit <field>", "protect all rows with one value of this field, such as a user, and not one row")
    .option("--rows-per-unit <m>", `most rows of a unit in a step (default: ${ROWS_PER_UNIT})`, wholeNumber(1))
    .option(
      "--clip <c>",
      `norm that an example's (or unit's mean) gradient is clipped to (default: ${CLIP})`,
      positiveNumber,
    )
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
  const { epsilon, noiseMultiplier, delta, shuffle, privacyUnit, rowsPerUnit } = options;
  if (rowsPerUnit !== undefined && privacyUnit === undefined) {
    command.error("error: --rows-per-unit needs --privacy-unit");
  }
  if (epsilon !== undefined || noiseMultiplier !== undefined) {
    if (delta === undefined) command.error("error: differential privacy needs --delta, at most 1 / examples");
    if (!shuffle) command.error("error: --no-shuffle contradicts the random sampling of differential privacy");
  } else {
    const lonely = (["delta", "clip", "privacyUnit", "accountant", "budgetEpsilon", "dataset"] as const).find(
      (name) => options[name] !== undefined,
    );
    const flag = lonely?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (flag) command.error(`error: --${flag} needs --epsilon or --noise-multiplier`);
  }
}

async function run(options: Options, io: Io): Promise<void> {
  const out = await openOut(options.out, options);
  const request = await requestOf(options, out.statePath, io);
  const { model, task, steps, privacy } = request;
  const test = options.eval === undefined ? undefined : await encodedRows(options.eval, task, model, io.message);
  await checkTuning(request);
  if (privacy) announce(privacy.plan, test !== undefined, io);
  const { loss, measured, ...tuned } = await engineRun(io, async (engine, watch) => {
    const tuned = await tunePrompt(request, engine, watch);
    const measured = test && (await evaluateRows({ model, prompt: tuned.prompt }, test, engine, watch));
    return { ...tuned, measured };
  });
  await out.finish((folder) => writePrompt(folder, tuned));
  forgetRunId(out.statePath);
  const plan = privacy?.plan ?? null;
  const guarantee = plan ? `, ε ${plan.epsilon.toPrecision(4)} at δ ${plan.delta}` : "";
  io.result(
    { steps, loss, ...figuresOf(measured), privacy: plan, out: options.out },
    `${options.out}: loss ${loss.toFixed(4)}${shown(measured)}${guarantee}`,
  );
}

/** The figures of the --eval rows that the result has: null without such rows. */
function figuresOf(measured: TaskEvaluation | undefined) {
  if (measured?.kind !== "generation") return { accuracy: measured?.figures.accuracy ?? null };
  const { exactMatch, f1 } = measured.figures;
  return { accuracy: null, exactMatch, f1 };
}

function shown(measured: TaskEvaluation | undefined): string {
  if (!measured) return "";
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  if (measured.kind === "classification") return `, accuracy ${percent(measured.figures.accuracy)}`;
  return `, exact match ${percent(measured.figures.exactMatch)}, F1 ${percent(measured.figures.f1)}`;
}

/** Reads what a run is made of. */
async function requestOf(options: Options, statePath: string, io: Io): Promise<TuneRequest> {
  const task = await readTask(options.task);
  const model = await loadModel(options.model, io);
  // Before the rows are read: what costs least to mend is said first.
  if (!isGeneration(task)) await verbalizer(task, model.tokenizer);
  const given = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, model, io, task);
  const { rows: examples } = await encodedRows(options.train, task, model, io.message);
  const units = options.privacyUnit === undefined ? undefined : await readUnits(options.train, options.privacyUnit);
  const records = units?.length ?? examples.length;
  const { batchSize, epochs = EPOCHS, steps = Math.ceil((epochs * records) / batchSize) } = options;
  const plan = planOf(options, records, steps);
  return {
    model,
    task,
    examples,
    dataDigest: (await hashFile(options.train)).sha256,
    start: given ?? options.promptTokens ?? PROMPT_TOKENS,
    steps,
    batchSize,
    optimizer: options.optimizer,
    learningRate: options.lr,
    averagedSteps: options.average,
    order: options.shuffle ? { kind: "shuffled", seed: options.seed } : { kind: "file" },
    privacy: plan && { plan, random: cryptoRandom, units, charge: () => chargeRun(options, plan, statePath, io) },
    state: { path: statePath, resume: options.resume === true },
  };
}

function planOf(options: Options, records: number, steps: number): PrivacyPlan | null {
  const { epsilon, noiseMultiplier, delta, clip = CLIP, batchSize, accountant, privacyUnit: field } = options;
  if (delta === undefined) return null;
  const unit = field === undefined ? undefined : { field, rowsPerUnit: options.rowsPerUnit ?? ROWS_PER_UNIT };
  return createPlan({ records, batchSize, steps, clip, delta, epsilon, noiseMultiplier, accountant, unit });
}

/** Writes the run to the private data's ledger before its first step: from there on it is spent, whatever becomes of the run. */
async function chargeRun(options: Options, plan: PrivacyPlan, statePath: string, io: Io): Promise<void> {
  const { train, dataset } = options;
  const texts = await readTexts(train);
  if (plan.unit === undefined) warnOfRepeatedTexts(texts, io);
  const ledger = openLedger({ texts, fileDigests: [(await hashFile(train)).sha256], dataset });
  warnOfKnownRows(ledger, io);
  const runId = runIdOf(statePath, options.resume === true);
  const { sampleRate, noiseMultiplier, steps, delta, unit } = plan;
  const budget = options.budgetEpsilon === undefined ? undefined : { epsilon: options.budgetEpsilon, delta };
  const entries = await ledger.charge({ runId, sampleRate, noiseMultiplier, steps, delta, unit }, budget);
  io.message(`Charged to the ledger of this data as run ${entries.length} (softpost privacy ledger shows all).`);
}

/** A text that stands more often than this is hardly one person's alone. */
const OFTEN = 3;

/** Says how many texts stand often, never which: then one row is likely not what has to be protected. */
function warnOfRepeatedTexts(texts: readonly string[], io: Io): void {
  const counts = [...Map.groupBy(texts, (text) => text.trim()).values()].map(({ length }) => length);
  const often = counts.filter((count) => count > OFTEN);
  if (often.length === 0) return;
  const rows = often.reduce((sum, count) => sum + count, 0);
  io.message(
    `${often.length} ${often.length === 1 ? "text stands" : "texts stand"} more than ${OFTEN} times among the rows (${rows} rows in all, one up to ` +
      `${often.reduce((most, count) => Math.max(most, count), 0)} times). The guarantee is for one row. If a person or an event has several, remove the repetitions or say whose rows ` +
      "belong together with --privacy-unit.",
  );
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

function announce(plan: PrivacyPlan, evaluated: boolean, io: Io): void {
  io.message(
    `Differential privacy: ε ${plan.epsilon.toPrecision(4)} at δ ${plan.delta} (${plan.accountant}), noise multiplier ` +
      `${plan.noiseMultiplier.toPrecision(4)}, sample rate ${plan.sampleRate.toPrecision(4)}, ${plan.steps} steps. The unit is ${unitText(plan.unit)}; ${plan.records} units.`,
  );
  if (!evaluated) return;
  io.message(
    "The accuracy on the --eval rows is not part of the guarantee: if they are private, keep it to yourself and choose nothing by it.",
  );
}
