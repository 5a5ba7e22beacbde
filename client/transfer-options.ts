import { type Command, InvalidArgumentError, Option } from "commander";
import {
  ANSWERS,
  type AnswersName,
  LOSSES,
  type LossName,
  STARTS,
  type StartName,
} from "../shared/protocol/manifest.ts";
import { AUTO, TRANSFER_DEFAULTS, type TransferOptions } from "../shared/protocol/transfer-options.ts";
import type { ConnectionOptions } from "./api/connection.ts";
import { numberBetween, positiveNumber, wholeNumber } from "./options.ts";

/** How a transfer is carried out: what `transfer` does itself, and what `submit` and `quote` ask a provider for. */
export interface HowToTransfer {
  readonly loss?: LossName;
  readonly steps?: number;
  readonly batchSize?: number;
  readonly lr?: number;
  readonly start?: StartName[];
  readonly select?: number;
  readonly answers?: AnswersName;
  readonly seed?: number;
}

/** Adds the options of a transfer. Defaults are shown, and left to whoever carries it out. */
export function withHowToTransfer(command: Command): Command {
  const { steps, batchSize, learningRate } = TRANSFER_DEFAULTS;
  const answers =
    "where answers are text, what of them is compared: the student's likeliest ones, drawn ones, or the first position (default: greedy)";
  const compared =
    "what of student and target is compared: class distributions, or whole vocabularies as in the paper (default: classes; vocabulary where answers are text)";
  const start =
    "what the target's prompt starts from: the words that the student's started from, that prompt itself, or try both (default: words)";
  return command
    .option("--steps <n>", `optimiser steps (default: ${steps})`, wholeNumber(1))
    .option("--batch-size <n>", `texts a step (default: ${batchSize})`, wholeNumber(1))
    .option("--lr <x>", `peak learning rate (default: ${learningRate})`, positiveNumber)
    .addOption(new Option("--loss <name>", compared).choices(LOSSES))
    .addOption(new Option("--start <name...>", start).choices(STARTS))
    .option("--select <n>", "choose so many public texts that carry the task (default: all)", wholeNumber(10))
    .addOption(new Option("--answers <which>", answers).choices(ANSWERS))
    .option("--seed <n>", "seed of the order (default: 0)", wholeNumber(0));
}

/** What --alpha means. */
export const ALPHA =
  "between 0, the target with its prompt is to answer as the student with its own does, and 1, a prompt is to change the target's answers as it does the " +
  `student's (the paper's second loss; default: ${TRANSFER_DEFAULTS.alpha})`;

export interface TransferFlags extends ConnectionOptions, HowToTransfer {
  readonly prompt: string;
  readonly dataset: string;
  readonly public: readonly string[];
  readonly alpha?: number;
}

/** Adds the options that say what a provider is to transfer, and how. */
export function withTransferFlags(command: Command): Command {
  const dataset =
    "your name for the private data set, the same for all prompts tuned on it. The provider sees this name and nothing else of the data, and adds up by it what was revealed";
  command
    .requiredOption("--prompt <dir>", "the tuned prompt's folder")
    .requiredOption("--dataset <name>", dataset)
    .requiredOption(
      "--public <id...>",
      `the provider's public set to transfer on (softpost students lists them); of several, or of all with ${AUTO}, the one that the prompted student tells apart best`,
    );
  return withHowToTransfer(command).option("--alpha <a>", ALPHA, numberBetween(0, 1));
}

/** The options as the API takes them; what isn't given is the provider's default. */
export function transferOptions(flags: TransferFlags): Partial<TransferOptions> {
  const { dataset, loss, steps, batchSize, lr: learningRate, alpha, answers, seed } = flags;
  const { start: starts, select: selected } = flags;
  const [publicSet, ...others] = flags.public;
  const alternatives = others.length > 0 ? others : undefined;
  const how = { alternatives, loss, steps, batchSize, learningRate, alpha, starts, selected, answers, seed };
  const given = Object.entries(how).filter(([, value]) => value !== undefined);
  return { dataset, publicSet: publicSet!, ...Object.fromEntries(given) };
}

/** The options as they are typed, those of the connection left out. */
export function asWords(flags: TransferFlags): string[] {
  const { prompt, dataset, public: publicSet, steps, batchSize, lr, loss, start, select, answers, seed, alpha } = flags;
  const how = { steps, "batch-size": batchSize, lr, loss, start, select, answers, seed, alpha };
  return Object.entries({ prompt, dataset, public: publicSet, ...how }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, ...[value].flat().map(String)],
  );
}

/** A number from 0 to 1, or `auto`. */
export function alphaOrAuto(text: string): number | "auto" {
  if (text === "auto") return text;
  try {
    return numberBetween(0, 1)(text);
  } catch {
    throw new InvalidArgumentError("It must be a number from 0 to 1, or auto.");
  }
}
