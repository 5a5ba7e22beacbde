/** Scripts that complete commands in shells, made from the commands' definitions: nothing runs when a key is pressed. */
import type { Command } from "commander";
import { quoted } from "./words.ts";

/** What may stand in a place: a command by its path, with what may follow it. */
interface Place {
  /** Such as " privacy epsilon"; "" for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly text: string }[];
  readonly options: readonly {
    readonly flag: string;
    readonly text: string;
    readonly choices: readonly string[] | undefined;
    /** Whether something follows it. */
    readonly takes: boolean;
  }[];
}

/** The program and all its commands. */
function placesOf(command: Command, path = ""): Place[] {
  const inherited = path === "" ? [] : rootOf(command).options;
  const options = [...command.options, ...inherited].flatMap(({ long, description, argChoices, required, optional }) =>
    long ? [{ flag: long, text: description, choices: argChoices, takes: required || optional }] : [],
  );
  const commands = command.commands.map((each) => ({ name: each.name(), text: each.description() }));
  return [
    { path, commands, options: [...options, { flag: "--help", text: "show help", choices: undefined, takes: false }] },
    ...command.commands.flatMap((each) => placesOf(each, `${path} ${each.name()}`)),
  ];
}

function rootOf(command: Command): Command {
  return command.parent ? rootOf(command.parent) : command;
}

/** For bash 4 and newer. Where nothing of softpost's fits, bash completes files. */
export function bashScript(program: Command): string {
  const places = placesOf(program);
  const paths = places
    .filter(({ path }) => path !== "")
    .map(({ path }) => `      ${quoted(path)}) path=${quoted(path)} ;;`);
  const values = places.flatMap(({ path, options }) =>
    options.flatMap(({ flag, takes, choices }) =>
      takes ? [`    ${quoted(`${path} ${flag}`)}) words=${quoted((choices ?? []).join(" "))} ;;`] : [],
    ),
  );
  const words = places.map(({ path, commands, options }) => {
    const all = [...commands.map(({ name }) => name), ...options.map(({ flag }) => flag)];
    return `      ${quoted(path)}) words=${quoted(all.join(" "))} ;;`;
  });
  return [
    "_softpost() {",
    `  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word`,
    `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
    '    case "$path $word" in',
    ...paths,
    "    esac",
    "  done",
    '  case "$path $before" in',
    ...values,
    "    *)",
    '    case "$path" in',
    ...words,
    "    esac ;;",
    "  esac",
    '  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
    "}",
    "complete -o default -F _softpost softpost",
  ].join("\n");
}

/** zsh runs bash's script. */
export function zshScript(program: Command): string {
  // zsh has no mapfile.
  const script = bashScript(program).replace(
    'mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
    'COMPREPLY=( $(compgen -W "$words" -- "$current") )',
  );
  return ["#compdef softpost", "autoload -U +X bashcompinit && bashcompinit", script].join("\n");
}

export function fishScript(program: Command): string {
  const at = (path: string) => {
    const names = path.trim().split(" ");
    return path === ""
      ? "__fish_use_subcommand"
      : names.map((name) => `__fish_seen_subcommand_from ${name}`).join("; and ");
  };
  const lines = placesOf(program).flatMap(({ path, commands, options }) => [
    ...commands.map(({ name, text }) => `complete -c softpost -n ${quoted(at(path))} -f -a ${name} -d ${quoted(text)}`),
    ...options.map(({ flag, text, takes, choices }) => {
      const value = choices ? ` -x -a ${quoted(choices.join(" "))}` : takes ? " -r" : "";
      return `complete -c softpost -n ${quoted(at(path))} -l ${flag.slice(2)}${value} -d ${quoted(text)}`;
    }),
  ]);
  return lines.join("\n");
}
