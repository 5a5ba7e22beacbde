import { commandsOf, optionsOf, sentence, softpostProgram, textBehind } from "../client/described-commands.ts";

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

const cell = (text: string) => text.replaceAll("|", "\\|");

/** Text that Markdown and Vue are to show as it is. */
export const prose = (text: string): string =>
  cell(text).replace(/[<>{}*_`[\]]/g, (sign) => `&#${sign.codePointAt(0)};`);
