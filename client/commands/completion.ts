import { Argument, type Command } from "commander";
import { bashScript, fishScript, zshScript } from "../completion-scripts.ts";
import type { Io } from "../output.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

const EXAMPLES = `
Examples:
  softpost completion bash >> ~/.bash_completion
  softpost completion zsh > ~/.zfunc/_softpost        # a folder of $fpath; then compinit
  softpost completion fish > ~/.config/fish/completions/softpost.fish

Next: begin a command in a new shell, and press Tab`;

/** `softpost completion`: what makes a shell complete commands and options, from their own definitions. */
export function registerCompletion(program: Command, io: Io): void {
  program
    .command("completion")
    .description("print a script by which your shell completes softpost's commands and options")
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(SCRIPTS)))
    .addHelpText("after", EXAMPLES)
    .action((shell: keyof typeof SCRIPTS) => {
      const script = SCRIPTS[shell](program);
      io.result({ script }, script);
    });
}
