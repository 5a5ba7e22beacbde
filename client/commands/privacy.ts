import { type Command, Option } from "commander";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import {
  type Accountant,
  deltaBounds,
  deltaOf,
  epsilonBounds,
  groupEpsilonBounds,
  truncatedEpsilonBounds,
} from "../../shared/privacy/accountant.ts";
import { noiseFor } from "../../shared/privacy/calibrate.ts";
import { NEIGHBOURING, type Neighbouring } from "../../shared/privacy/dominating-pair.ts";
import { toleranceAt } from "../../shared/privacy/pld.ts";
import { rdpEpsilon } from "../../shared/privacy/rdp.ts";
import { REPETITIONS, type Repetitions, repeatAndSelectEpsilon } from "../../shared/privacy/repeat-and-select.ts";
import { deltaFaults, type GaussianRun, refuseFaults, runFaults } from "../../shared/privacy/run.ts";
import type { Bounds } from "../../shared/privacy/solve.ts";
import { attackFigures, explainPrivacy, verifyRecord } from "../../shared/privacy/statement.ts";
import { stepsFor } from "../../shared/privacy/steps.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { count, short, shortUp } from "../words.ts";
import { registerLedger } from "./ledger.ts";

const EXAMPLES = `
Examples:
  softpost privacy epsilon --sample-rate 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5
  softpost privacy noise --epsilon 8 --sample-rate 0.01 --steps 1000 --delta 1e-5
  softpost privacy steps --epsilon 8 --sample-rate 0.01 --noise-multiplier 1 --delta 1e-5
  softpost privacy ledger --data private.jsonl --budget-epsilon 8
  softpost privacy explain prompt

Next: softpost tune --epsilon …, or softpost privacy COMMAND --help`;

interface Options {
  readonly sampleRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly delta: number;
  readonly epsilon: number;
  readonly accountant: Accountant;
  readonly neighbouring: Neighbouring;
  readonly group: number;
  readonly meanTrials?: number;
  readonly trials: Repetitions;
  readonly records?: number;
  readonly largestBatch?: number;
}

/** `softpost privacy …`: the accountants, the ledger and the statements as tools of their own. */
export function registerPrivacy(program: Command, io: Io): void {
  const privacy = program
    .command("privacy")
    .description("account for differential privacy")
    .addHelpText("after", EXAMPLES);
  const command = (name: keyof typeof HELP) =>
    withFlags(privacy.command(name).description(HELP[name].text), HELP[name].flags).addHelpText("after", EXAMPLES);

  command("epsilon")
    .addOption(neighbouringOption())
    .option("--group <k>", "for someone who has k of the records", wholeNumber(1), 1)
    .option("--mean-trials <m>", "best of a random number of runs with mean m (RDP)", numberBetween(1, 1e6))
    .addOption(
      new Option("--trials <distribution>", "how the number of runs is drawn")
        .choices(REPETITIONS)
        .default("geometric"),
    )
    .option("--largest-batch <b>", "samples above b records were cut to b, at random; needs --records", wholeNumber(1))
    .option("--records <n>", "records of the data set, for --largest-batch", wholeNumber(1))
    .action((options: Options) => printEpsilon(options, io));
  command("delta")
    .addOption(neighbouringOption())
    .action((options: Options) => printDelta(options, io));
  command("noise").action((options: Options) => printNoise(options, io));
  command("steps").action((options: Options) => printSteps(options, io));
  registerLedger(privacy, io);
  privacy
    .command("explain")
    .description("check a prompt's privacy record and print it as a statement")
    .argument("<dir>", "soft prompt folder")
    .addHelpText(
      "after",
      "\nExample:\n  softpost privacy explain prompt\n\nNext: softpost privacy ledger (what all runs on the data come to)",
    )
    .action((folder: string) => printStatement(folder, io));
}

const HELP = {
  epsilon: { text: "ε of a run at a δ", flags: ["sampleRate", "noiseMultiplier", "steps", "delta"] },
  delta: { text: "δ of a run at an ε", flags: ["sampleRate", "noiseMultiplier", "steps", "epsilon"] },
  noise: { text: "the noise multiplier for an ε", flags: ["epsilon", "sampleRate", "steps", "delta"] },
  steps: { text: "the steps that an ε allows", flags: ["epsilon", "sampleRate", "noiseMultiplier", "delta"] },
} as const;

const FLAGS = {
  sampleRate: new Option("--sample-rate <q>", "probability of a record at a step: batch size / records"),
  noiseMultiplier: new Option("--noise-multiplier <s>", "noise in units of the clip norm"),
  steps: new Option("--steps <n>", "optimiser steps"),
  delta: new Option("--delta <d>", "δ of the guarantee, at most 1 / records"),
  epsilon: new Option("--epsilon <e>", "ε of the guarantee"),
} as const;
FLAGS.sampleRate.argParser(numberBetween(0, 1));
FLAGS.noiseMultiplier.argParser(positiveNumber);
FLAGS.steps.argParser(wholeNumber(1));
FLAGS.delta.argParser(numberBetween(0, 1));
FLAGS.epsilon.argParser(positiveNumber);

function withFlags(command: Command, flags: readonly (keyof typeof FLAGS)[]): Command {
  for (const flag of flags) command.addOption(FLAGS[flag].makeOptionMandatory());
  return command.addOption(new Option("--accountant <name>", "accountant").choices(["pld", "rdp"]).default("pld"));
}

function neighbouringOption(): Option {
  return new Option("--neighbouring <relation>", "how neighbouring data sets differ")
    .choices(NEIGHBOURING)
    .default("add-or-remove-one");
}

function printEpsilon(options: Options, io: Io): void {
  const { sampleRate, noiseMultiplier, steps, delta, accountant, neighbouring, group } = checked(options);
  const { meanTrials, trials, largestBatch, records } = options;
  const { lower, upper: epsilon } = boundsOf(options);
  // What truncation's lower bound bounds is the analysis, not the run.
  const exactness = accountant === "pld" && largestBatch === undefined ? { lower } : {};
  if (epsilon - lower > toleranceAt(epsilon)) {
    io.message(`No tighter answer was found than ε between ${lower} and ${epsilon}; the upper bound holds.`);
  }
  const search = meanTrials === undefined ? {} : { meanTrials, trials };
  const about = { group: group > 1 ? group : undefined, ...search, largestBatch, records, accountant, neighbouring };
  const run = { sampleRate, noiseMultiplier, steps, delta };
  const atLeast = exactness.lower !== undefined && lower < epsilon ? ` (at least ${short(lower, 6)})` : "";
  io.result({ epsilon, ...exactness, ...run, ...about }, `ε ${shortUp(epsilon, 6)} at δ ${short(delta)}${atLeast}`);
}

/** @throws ProblemError for a combination that nobody has an analysis of */
function boundsOf(options: Options): Bounds {
  const { accountant, neighbouring, group, meanTrials, trials, delta, largestBatch, records } = options;
  const exactly = (value: number) => ({ lower: value, upper: value });
  const special = [
    ...(meanTrials === undefined ? [] : ["--mean-trials"]),
    ...(largestBatch === undefined && records === undefined ? [] : ["--largest-batch"]),
    ...(group > 1 ? ["--group"] : []),
    ...(neighbouring === "add-or-remove-one" ? [] : ["--neighbouring replace-one"]),
  ];
  if (special.length > 1) {
    throw new ProblemError(UNDESCRIBED, `${special.join(" and ")} are described only one at a time.`);
  }
  const needed = meanTrials === undefined ? "pld" : "rdp";
  if (special.length > 0 && accountant !== needed) {
    throw new ProblemError(UNDESCRIBED, `${special[0]} is described only with --accountant ${needed}.`);
  }
  if (meanTrials !== undefined) return exactly(repeatAndSelectEpsilon(options, { mean: meanTrials, trials }, delta));
  if (group > 1) return groupEpsilonBounds(options, group, delta);
  if (largestBatch !== undefined && records !== undefined) {
    return truncatedEpsilonBounds(options, { records, largestBatch }, delta);
  }
  if (special[0] === "--largest-batch") {
    throw new ProblemError(UNDESCRIBED, "--largest-batch and --records are needed together.");
  }
  if (accountant === "pld") return epsilonBounds([options], delta, neighbouring);
  return exactly(rdpEpsilon([options], delta).epsilon);
}

const UNDESCRIBED = "The accountant does not describe this";

function printDelta(options: Options, io: Io): void {
  const { sampleRate, noiseMultiplier, steps, epsilon, accountant, neighbouring } = checked(options);
  const run: GaussianRun = { sampleRate, noiseMultiplier, steps };
  if (accountant === "rdp" && neighbouring !== "add-or-remove-one") {
    throw new ProblemError(UNDESCRIBED, "--neighbouring replace-one is described only with --accountant pld.");
  }
  const bounds = accountant === "pld" ? deltaBounds([run], epsilon, neighbouring) : undefined;
  const delta = bounds?.upper ?? deltaOf([run], epsilon, "rdp");
  const exactness = bounds ? { lower: bounds.lower } : {};
  io.result({ delta, ...exactness, ...run, epsilon, accountant, neighbouring }, `δ ${short(delta)} at ε ${epsilon}`);
}

function printNoise(options: Options, io: Io): void {
  const { sampleRate, steps, delta, accountant, epsilon: target } = options;
  const { noiseMultiplier, epsilon } = noiseFor({ epsilon: target, delta, sampleRate, steps }, accountant);
  const result = { noiseMultiplier, epsilon, target, sampleRate, steps, delta, accountant };
  io.result(result, `noise multiplier ${short(noiseMultiplier, 6)}: ε ${shortUp(epsilon, 6)} at δ ${short(delta)}`);
}

function printSteps(options: Options, io: Io): void {
  const { sampleRate, noiseMultiplier, delta, accountant, epsilon: target } = options;
  const { steps, epsilon } = stepsFor({ epsilon: target, delta, sampleRate, noiseMultiplier }, accountant);
  const result = { steps, epsilon, target, sampleRate, noiseMultiplier, delta, accountant };
  io.result(result, `${count(steps, "step")}: ε ${shortUp(epsilon, 6)} at δ ${short(delta)}`);
}

async function printStatement(folder: string, io: Io): Promise<void> {
  const { manifest } = await readPromptFolder(folder);
  const record = manifest?.privacy;
  if (!record) {
    const detail = `${folder} has no privacy record: it was tuned without differential privacy and guarantees nothing.`;
    throw new ProblemError("The prompt is not private", detail);
  }
  const { epsilon, faults } = verifyRecord(record);
  if (faults.length > 0) {
    const detail = `${folder} claims what its own numbers don't give.`;
    throw new ProblemError("The privacy record is not true", detail, { faults });
  }
  const attacks = attackFigures(record);
  const statement = explainPrivacy(record, attacks, manifest.initialisation.promptDigest);
  io.result({ ...record, computedEpsilon: epsilon, attacks, statement }, statement);
}

/** @throws ProblemError with every number that is out of the accountants' range */
function checked(options: Options): Options {
  refuseFaults([...runFaults(options), ...(options.delta === undefined ? [] : deltaFaults(options.delta))]);
  return options;
}
