import { type Command, Option } from "commander";
import { ACCOUNTANTS, type Accountant, epsilonOf } from "../../shared/privacy/accountant.ts";
import { noiseFor } from "../../shared/privacy/calibrate.ts";
import { deltaFaults, refuseFaults, runFaults } from "../../shared/privacy/run.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";

interface Options {
  sampleRate: number;
  steps: number;
  delta: number;
  accountant: Accountant;
}

const EXAMPLES = `
Examples:
  softpost privacy epsilon --sample-rate 0.01 --noise-multiplier 1.1 --steps 1000 --delta 1e-5
  softpost privacy noise --epsilon 8 --sample-rate 0.01 --steps 1000 --delta 1e-5`;

/** `softpost privacy`: the accounting of DP-SGD as a tool of its own; it reads no data. */
export function registerPrivacy(program: Command, io: Io): void {
  const privacy = program
    .command("privacy")
    .description("compute what DP-SGD guarantees, or the noise that a guarantee takes")
    .addHelpText("after", EXAMPLES);
  mechanism(privacy.command("epsilon").description("ε of DP-SGD with a given noise multiplier"))
    .requiredOption("--noise-multiplier <s>", "noise in units of the clip norm", positiveNumber)
    .action((options: Options & { noiseMultiplier: number }) => {
      const { sampleRate, noiseMultiplier, steps, delta, accountant } = options;
      const run = { sampleRate, noiseMultiplier, steps };
      refuseFaults([...runFaults(run), ...deltaFaults(delta)]);
      answer(io, { ...run, delta, accountant, epsilon: epsilonOf([run], delta, accountant) });
    });
  mechanism(privacy.command("noise").description("smallest noise multiplier whose ε is not above a given one"))
    .requiredOption("--epsilon <e>", "the ε to reach", positiveNumber)
    .action((options: Options & { epsilon: number }) => {
      const { sampleRate, steps, delta, accountant } = options;
      const found = noiseFor({ epsilon: options.epsilon, sampleRate, steps, delta }, accountant);
      answer(io, { sampleRate, steps, delta, accountant, ...found });
    });
}

function mechanism(command: Command): Command {
  return command
    .requiredOption("--sample-rate <q>", "probability that a step takes an example", numberBetween(0, 1))
    .requiredOption("--steps <n>", "optimiser steps", wholeNumber(1))
    .requiredOption("--delta <d>", "δ of the guarantee", numberBetween(0, 1))
    .addOption(new Option("--accountant <name>", "accountant").choices(ACCOUNTANTS).default(ACCOUNTANTS[0]));
}

function answer(io: Io, result: Options & { noiseMultiplier: number; epsilon: number }): void {
  const { epsilon, delta, noiseMultiplier, sampleRate, steps, accountant } = result;
  const parts = [
    `ε ${epsilon.toPrecision(6)} at δ ${delta}`,
    `noise multiplier ${noiseMultiplier.toPrecision(6)}, sample rate ${sampleRate}, ${steps} steps`,
    `Poisson sampling, add or remove one example, accountant ${accountant}`,
  ];
  io.result(result, parts.join("\n"));
}
