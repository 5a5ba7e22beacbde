import type { Command } from "commander";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { Api, transferPath } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { downloadFolder } from "../api/download.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { next } from "../words.ts";

interface Options extends ConnectionOptions {
  readonly out: string;
}

const NOTES = `
Example:
  softpost download ID --out prompts/moved

Next: softpost predict --model TARGET --prompt prompts/moved --data new.jsonl`;

/** `softpost download`: gets the transferred prompt. */
export function registerDownload(program: Command, io: Io): void {
  withConnection(program.command("download"))
    .description("download the transferred prompt as a PEFT folder")
    .argument("<id>", "the transfer")
    .requiredOption("--out <dir>", "new folder for it")
    .addHelpText("after", NOTES)
    .action((id: string, options: Options) => run(id, options, io));
}

async function run(id: string, options: Options, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const { state, files } = await api.transfer(id);
  if (state !== "succeeded") {
    throw new ProblemError("There is nothing to download", `The transfer is ${state}. softpost wait ${id} follows it.`);
  }
  const downloads = files.map((file) => ({ path: `${transferPath(id)}/prompt/${file.name}`, file }));
  const kept = () => "Stopped. What came is kept; the same command goes on from there.";
  await longRun(io, kept, ({ signal }) => downloadFolder(api, downloads, options.out, () => {}, signal));
  const { virtualTokens, dimension, manifest } = await readPromptFolder(options.out);
  const told = `${options.out}: soft prompt of ${virtualTokens} virtual tokens for ${manifest?.model.id}, digests checked`;
  const use = next("predict", "--model", manifest?.model.id ?? "TARGET", "--prompt", options.out, "--data", "FILE");
  io.result({ id, virtualTokens, dimension, model: manifest?.model ?? null, out: options.out }, `${told}\n${use}`);
}
