import type { Command } from "commander";
import { HELP } from "../client/command.ts";
import { createProgram } from "../client/program.ts";

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

/** The page of all commands. */
export function commandsPage(): string {
  const all = commandsOf(softpostProgram());
  const sections = all.map(({ path, command }) => {
    const level = "#".repeat(Math.min(4, path.split(" ").length + 1));
    const title = path === "softpost" ? "All commands" : path;
    const options = optionsOf(command).map(({ flags, text }) => `| \`${cell(flags)}\` | ${prose(text)} |`);
    const table = options.length > 0 ? ["| option | |", "|---|---|", ...options, ""] : [];
    const behind = textBehind(command);
    const more = behind === "" ? [] : ["```text", behind, "```", ""];
    const usage = `\`${path} ${command.usage()}\``;
    return [`${level} ${title}`, "", prose(sentence(command)), "", usage, "", ...table, ...more].join("\n");
  });
  return ["# Commands", "", "From the commands' own definitions: what `--help` says.", "", ...sections].join("\n");
}

/** What a command does. */
export const sentence = (command: Command) => command.description().replace(/\.?$/, ".");

const cell = (text: string) => text.replaceAll("|", "\\|");

/** Text that Markdown and Vue are to show as it is. */
export const prose = (text: string): string =>
  cell(text).replace(/[<>{}*_`[\]]/g, (sign) => `&#${sign.codePointAt(0)};`);
