import manifest from "../package.json" with { type: "json" };
import { commandsOf, optionsOf, sentence, softpostProgram, textBehind } from "./described-commands.ts";

/** The man page softpost(1), from the commands' definitions. */
export function manPage(): string {
  const program = softpostProgram();
  const sections = commandsOf(program).map(({ path, command }) => {
    const title = path === "softpost" ? ".SH OPTIONS OF ALL COMMANDS" : `.SH ${roff(path.toUpperCase())}`;
    const usage = path === "softpost" ? [] : [".B", roff(`${path} ${command.usage()}`), ".PP", roff(sentence(command))];
    const options = optionsOf(command).flatMap(({ flags, text }) => [".TP", `.B ${roff(flags)}`, roff(text)]);
    const behind = textBehind(command);
    return [title, ...usage, ...options, ...(behind === "" ? [] : [".PP", ".nf", roff(behind), ".fi"])].join("\n");
  });
  const head = [
    `.TH SOFTPOST 1 "" "softpost ${manifest.version}"`,
    ".SH NAME",
    "softpost \\- adapt a hosted language model to private data",
    ".SH SYNOPSIS",
    ".B softpost",
    "COMMAND [OPTIONS]",
    ".SH DESCRIPTION",
    roff(program.description()),
  ];
  return `${[...head, ...sections].join("\n")}\n`;
}

/** Text as roff shows it: backslashes and hyphens as they are, and no line that begins as a request does. */
const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
