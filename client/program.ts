import { type Command, CommanderError, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { useProxies } from "../shared/data/proxy.ts";
import { DEVICES } from "../shared/graph/engine.ts";
import { weightsSchema } from "../shared/protocol/weights.ts";
import { HELP, refuseUnknownCommand, SoftpostCommand } from "./command.ts";
import { registerAdmin } from "./commands/admin.ts";
import { registerAudit } from "./commands/audit.ts";
import { registerBudget } from "./commands/budget.ts";
import { registerCancel } from "./commands/cancel.ts";
import { registerClassify } from "./commands/classify.ts";
import { registerComplete } from "./commands/complete.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerDelete } from "./commands/delete.ts";
import { registerDistill } from "./commands/distill.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerDownload } from "./commands/download.ts";
import { registerEvaluate } from "./commands/evaluate.ts";
import { registerExport } from "./commands/export.ts";
import { registerInit } from "./commands/init.ts";
import { registerModels } from "./commands/models.ts";
import { registerPredict } from "./commands/predict.ts";
import { registerPretrain } from "./commands/pretrain.ts";
import { registerPrivacy } from "./commands/privacy.ts";
import { registerQuantise } from "./commands/quantise.ts";
import { registerQuote } from "./commands/quote.ts";
import { registerServe } from "./commands/serve.ts";
import { registerStatus } from "./commands/status.ts";
import { registerStudents } from "./commands/students.ts";
import { registerSubmit } from "./commands/submit.ts";
import { registerTask } from "./commands/task.ts";
import { registerTransfer } from "./commands/transfer.ts";
import { registerTune } from "./commands/tune.ts";
import { registerUi } from "./commands/ui.ts";
import { registerWait } from "./commands/wait.ts";
import { wholeNumber } from "./options.ts";
import { createIo, type Io, reportFailure } from "./output.ts";
import type { Sink } from "./sink.ts";

const EXAMPLES = `
For a client: students, tune, evaluate, submit, wait, download, predict. For a provider: distill, serve. On one machine: distill, tune, transfer, evaluate.

Examples:
  softpost distill --target models/target --public public.txt --layers 0,-1 --out models/student
  softpost tune --model models/student --task task.json --train private.jsonl --epsilon 8 --out prompt
  softpost transfer --target models/target --student models/student --prompt prompt --public public.jsonl --out moved
  softpost evaluate --model models/target --task task.json --data test.jsonl --prompt moved

Next: softpost COMMAND --help has examples of each.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C before it was done (a run goes on with --resume). Ctrl-C is how serve and ui end: 0.`;

/**
 * Runs the command line once.
 *
 * @param argv the arguments after the program's name
 * @returns the exit code
 */
export async function runProgram(argv: readonly string[], stdout: Sink, stderr: Sink): Promise<number> {
  const { program, io } = createProgram(stdout, stderr);
  try {
    refuseUnknownCommand(program, argv);
    await useProxies();
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // Help and version end commander with 0, everything that it finds wrong with the arguments with another code.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return reportFailure(error, io);
  }
}

/** The program with all its commands. */
export function createProgram(stdout: Sink, stderr: Sink): { readonly program: Command; readonly io: Io } {
  const program = new SoftpostCommand("softpost");
  const io = createIo(stdout, stderr, () => program.opts());
  program
    .description(
      "Adapt a large language model that somebody else hosts to private data that never leaves your machine.",
    )
    .version(manifest.version, "-V, --version", "print the version")
    .option("--json", "print one JSON object as the result on stdout")
    .option("--metrics <file>", "append the loss of every step to a file, one JSON object a line")
    .option("--threads <n>", "CPU threads of models (default: all cores)", wholeNumber(1))
    .addOption(new Option("--device <name>", "where models run").choices(DEVICES).default("cpu"))
    .addOption(
      new Option("--precision <name>", "fp16 for linear layers and attention on a GPU")
        .choices(["fp32", "fp16"])
        .default("fp32"),
    )
    .addOption(
      new Option("--weights <form>", "how matrices of models are held (docs/guide.md)").choices(weightsSchema.options),
    )
    .option("--verify", "compute every model's digest anew, also of files that have not changed since it was")
    .helpOption("-h, --help", "show help")
    .configureHelp(HELP)
    .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) })
    .showHelpAfterError("(see --help)")
    .addHelpText("after", EXAMPLES)
    .exitOverride();
  // Subcommands take over the settings made above, so they are registered after them.
  const commands = [
    registerInit,
    registerDistill,
    registerTask,
    registerTune,
    registerTransfer,
    registerEvaluate,
    registerPredict,
    registerExport,
    registerQuantise,
    registerPretrain,
    registerServe,
    registerUi,
    registerStudents,
    registerQuote,
    registerSubmit,
    registerStatus,
    registerWait,
    registerDownload,
    registerCancel,
    registerDelete,
    registerModels,
    registerComplete,
    registerClassify,
    registerBudget,
    registerPrivacy,
    registerAudit,
    registerAdmin,
    registerDoctor,
    registerCompletion,
  ];
  for (const register of commands) register(program, io);
  return { program, io };
}
