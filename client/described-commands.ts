/** The commands as they describe themselves, for pages that are made of them. */
import type { Command } from "commander";
import { HELP } from "./command.ts";
import { createProgram } from "./program.ts";

const nowhere = { write: () => true, isTTY: false };

/** The program, to be looked at. */
export const softpostProgram = (): Command => createProgram(nowhere, nowhere).program;

/** A command and those below it, each with the path by which it is called. */
export function commandsOf(command: Command, path = command.name()): { path: string; command: Command }[] {
  const below = command.commands.flatMap((each) => commandsOf(each, `${path} ${each.name()}`));
  return [{ path, command }, ...below];
}

/** What a command's help says behind its options: notes and examples. */
export function textBehind(command: Command): string {
  let written = "";
  const writeOut = (text: string) => {
    written += text;
  };
  const own = command.configureOutput();
  command.configureOutput({ ...own, writeOut });
  command.outputHelp();
  command.configureOutput(own);
  return written.slice(command.helpInformation().length).trim();
}

/** An option's flags and what they mean, with choices, default and whether it must be given. */
export const optionsOf = (command: Command) =>
  command.options
    .filter(({ hidden }) => !hidden)
    .map((option) => ({ flags: option.flags, text: HELP.optionDescription!.call(command.createHelp(), option) }));

/** What a command does. */
export const sentence = (command: Command) => command.description().replace(/\.?$/, ".");
