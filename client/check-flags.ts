/** `--check`: whether a transfer pays, asked before it is paid for. */
import type { Command } from "commander";
import type { Api } from "./api/api.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "./data-file.ts";
import { loadModel, telling } from "./inputs.ts";
import { checkTransfer, type TransferCheck } from "./local/check-transfer.ts";
import { loadPrompt } from "./local/prompt.ts";
import { longRun } from "./long-run.ts";
import type { Io } from "./output.ts";
import { count, percent } from "./words.ts";

export interface CheckFlags extends ColumnOptions {
  readonly check?: string;
  readonly model?: string;
}

/** Adds the options of a check. */
export function withCheck(command: Command): Command {
  command
    .option("--check <file>", `public rows with labels, which the provider reads without a prompt (${ROW_FORMATS})`)
    .option("--model <dir>", "with --check: the student that the prompt was tuned on");
  return withColumns(command, ["text", "label"]);
}

/** Ends with exit code 2 where one is given without the other. */
export function refuseHalfACheck({ check, model }: CheckFlags, command: Command): void {
  if ((check === undefined) !== (model === undefined)) command.error("error: --check and --model need each other");
}

/** The check that the flags ask for, if they do. @throws ProblemError as `checkTransfer`; StoppedError */
export async function checkAsked(
  api: Api,
  flags: CheckFlags & { readonly prompt: string },
  io: Io,
): Promise<TransferCheck | undefined> {
  const { check, model: name, prompt: folder } = flags;
  if (check === undefined || name === undefined) return undefined;
  const data = await dataFile(check, flags, io);
  const model = await loadModel(name, io);
  const prompt = await loadPrompt(folder, model, {}, telling(io));
  const { threads, device } = io;
  return longRun(
    io,
    () => "Stopped before anything was submitted; the same command begins anew.",
    (watch) => checkTransfer({ client: api, model, prompt, data, threads, device }, watch),
  );
}

/** What a check found, and what it says of a transfer. */
export function describeCheck({ examples, prompted, target, standardError, mayPay }: TransferCheck): string[] {
  const figures = `On ${count(examples, "row")}: your prompt on the student ${percent(prompted)}, the target without a prompt ${percent(target)} (± ${percent(standardError)})`;
  if (mayPay) return [figures];
  return [
    figures,
    "WARNING: the target does as well without a prompt as your prompt does on the student. The transferred prompt may then be worse than none: it was, or gained a few points, where this was measured (docs/results.md).",
  ];
}
