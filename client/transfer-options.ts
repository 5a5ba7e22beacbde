import { type Command, InvalidArgumentError, Option } from "commander";
import {
  ANSWERS,
  type AnswersName,
  LOSSES,
  type LossName,
  STARTS,
  type StartName,
  type TRANSFER_DEFAULTS,
} from "../shared/protocol/transfer.ts";
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

/**
 * Adds the options of a transfer.
 * @param defaults left out where a provider's count
 */
export function withHowToTransfer(command: Command, defaults?: typeof TRANSFER_DEFAULTS): Command {
  const loss = "what of student and target is compared: class distributions, or whole vocabularies";
  const start = "the words that the student's prompt started from, the prompt itself, or try both";
  const answers =
    "where answers are text, what of them is compared: the student's likeliest ones, drawn ones, or the first position";
  return command
    .addOption(
      new Option("--loss <name>", loss)
        .choices(LOSSES)
        .default(undefined, "classes; vocabulary where answers are text"),
    )
    .addOption(new Option("--start <name...>", start).choices(STARTS).default(defaults && ["words"]))
    .option("--select <n>", "choose so many public texts that carry the task (default: all)", wholeNumber(10))
    .addOption(new Option("--answers <which>", answers).choices(ANSWERS).default(undefined, "greedy"))
    .option("--steps <n>", "optimiser steps", wholeNumber(1), defaults?.steps)
    .option("--batch-size <n>", "texts a step", wholeNumber(1), defaults?.batchSize)
    .option("--lr <x>", "peak learning rate", positiveNumber, defaults?.learningRate)
    .option("--seed <n>", "seed of the order", wholeNumber(0), defaults && 0);
}

/** What --alpha means. */
export const ALPHA = "weight of the loss on how the prompt moves each model, 0 to 1";

/** A number from 0 to 1, or `auto`. */
export function alphaOrAuto(text: string): number | "auto" {
  if (text === "auto") return text;
  try {
    return numberBetween(0, 1)(text);
  } catch {
    throw new InvalidArgumentError("It must be a number from 0 to 1, or auto.");
  }
}
