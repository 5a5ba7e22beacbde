import { Command, type Help, type Option } from "commander";

/** A command whose help marks required options, and that names all of those that are missing together. */
export class SoftpostCommand extends Command {
  override createCommand(name?: string): SoftpostCommand {
    return new SoftpostCommand(name);
  }

  /** Called by commander with the first option that is missing. */
  missingMandatoryOptionValue(_first: Option): never {
    const missing = this.options.filter(
      (option) => option.mandatory && this.getOptionValue(option.attributeName()) === undefined,
    );
    const named = missing.map(({ flags, description }) => `\n  ${flags}  ${description}`);
    const what =
      missing.length === 1 ? "a required option is missing:" : `${missing.length} required options are missing:`;
    this.error(`error: ${what}${named.join("")}`, { code: "commander.missingMandatoryOptionValue" });
  }
}

/** How help looks: required options say so, those of one command come before those of all. */
export const HELP: Partial<Help> = {
  showGlobalOptions: true,
  optionDescription(option) {
    const required = option.mandatory ? " (required)" : "";
    const choices = option.argChoices ? ` (${option.argChoices.join(" or ")})` : "";
    const { defaultValue } = option;
    const shown =
      typeof defaultValue === "string" || typeof defaultValue === "number" ? ` (default: ${defaultValue})` : "";
    return `${option.description}${choices}${shown}${required}`;
  },
};

/**
 * Says that the arguments name a command that there isn't, wherever the name stands; commander would answer it with the help of another command, if help is
 * asked for. Ends the program with exit code 2.
 */
export function refuseUnknownCommand(command: Command, argv: readonly string[]): void {
  const options = [...command.options, ...(defaultOf(command)?.options ?? [])];
  for (let i = 0; i < argv.length && command.commands.length > 0; i++) {
    const word = argv[i]!;
    if (word.startsWith("-")) {
      const takesValue = options.some(({ long, required }) => long === word && required);
      if (takesValue) i += 1;
    } else if (word !== "help") {
      const known = command.commands.find((each) => each.name() === word);
      if (known) {
        refuseUnknownCommand(known, argv.slice(i + 1));
        return;
      }
      command.error(`error: ${unknownText(command, word)}`, { code: "commander.unknownCommand" });
    }
  }
}

/** The command that is meant where none is named. Commander keeps its name to itself. */
function defaultOf(command: Command): Command | undefined {
  const { _defaultCommandName: name } = command as unknown as { readonly _defaultCommandName: string | null };
  return command.commands.find((each) => each.name() === name);
}

/** Names that differ in at most this share of their letters are taken for a slip. */
const SLIP = 0.4;

function unknownText(command: Command, word: string): string {
  const names = command.commands.map((each) => each.name());
  const nearest = names
    .map((name) => ({ name, distance: editDistance(word, name) }))
    .sort((a, b) => a.distance - b.distance)[0]!;
  const whole = command.parent ? `softpost ${command.name()}` : "softpost";
  const slip = nearest.distance <= SLIP * Math.max(word.length, nearest.name.length);
  const hint = slip ? `Did you mean ${nearest.name}?` : `There are: ${names.join(", ")}.`;
  return `${whole} has no command ${JSON.stringify(word)}. ${hint}`;
}

/** How many letters have to be put in, left out or changed to make one word of another (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const before = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = before[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(before[j]! + 1, row[j - 1]! + 1, changed));
    }
  }
  return row[b.length]!;
}
