import { type Command, InvalidArgumentError, Option } from "commander";
import { between, type NumberRule, POSITIVE, wholeFrom } from "./number-rules.ts";

/** Option parsers for commander: they give the value or say what it must be, which ends the program with exit code 2. */

/** A whole number in decimal digits, at least `least`. */
export function wholeNumber(least: number): (text: string) => number {
  const rule = wholeFrom(least);
  return (text) => allowed(/^\d+$/.test(text) ? Number(text) : Number.NaN, rule);
}

/** A finite number above 0, such as 1e-3. */
export function positiveNumber(text: string): number {
  return allowed(parseNumber(text), POSITIVE);
}

/** A number of `least` or more, and `most` or less. */
export function numberBetween(least: number, most: number): (text: string) => number {
  const rule = between(least, most);
  return (text) => allowed(parseNumber(text), rule);
}

function allowed(value: number, { allows, message }: NumberRule): number {
  if (allows(value)) return value;
  throw new InvalidArgumentError(message);
}

/** Layer indices with commas between them; negative ones count from the end. */
export function layerList(text: string): number[] {
  if (!/^-?\d{1,4}(,-?\d{1,4})*$/.test(text)) {
    throw new InvalidArgumentError("It must be layer indices with commas between them, such as 0,-1.");
  }
  return text.split(",").map(Number);
}

/** NaN for anything but a finite decimal number: `Number` would take the empty text for 0 and 0x10 for 16. */
function parseNumber(text: string): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

/** What the training of a model's weights is told. */
export interface WeightTrainingOptions {
  out: string;
  steps: number;
  batchSize: number;
  maxLength: number;
  lr: number;
  seed: number;
  resume?: boolean;
}

/** Adds the options of a command that trains weights. */
export function withWeightTraining(
  command: Command,
  defaults: { readonly batchSize: number; readonly learningRate: number; readonly seed: string },
): Command {
  return command
    .option("--steps <n>", "optimiser steps", wholeNumber(1), 1000)
    .option("--batch-size <n>", "rows a step", wholeNumber(1), defaults.batchSize)
    .option("--max-length <n>", "tokens a row", wholeNumber(2), 128)
    .option("--lr <x>", "peak learning rate", positiveNumber, defaults.learningRate)
    .option("--seed <n>", defaults.seed, wholeNumber(0), 0)
    .option("--resume", "go on with an unfinished run");
}

/**
 * Lets an option be given by a name that it had before, which help doesn't show.
 * @param flags as the option's own, such as `--teacher <dir>`
 * @param option the option's name now
 */
export function withEarlierName(command: Command, flags: string, option: string): void {
  const earlier = new Option(flags).hideHelp();
  command.addOption(earlier);
  command.on(`option:${earlier.name()}`, (value: string) => {
    const before = (command.getOptionValue(option) ?? []) as string[];
    command.setOptionValueWithSource(option, earlier.variadic ? [...before, value] : value, "cli");
  });
}
