import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { CompletionOptions } from "../api/inference.ts";
import { numberBetween, wholeNumber } from "../options.ts";
import { type Io, StoppedError } from "../output.ts";

interface Options extends ConnectionOptions {
  readonly model: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly stop?: string[];
  readonly seed?: number;
}

const NOTE = `
Example:
  softpost complete "The weather is" --model target --max-tokens 16

The provider sees the text. No template is filled in: behind a prompt for answers, write the text as the task's template has it
(softpost models --json shows it).

Next: softpost budget (the tokens that it took)`;

/** `softpost complete`: a text continued by the provider, printed as it comes. */
export function registerComplete(program: Command, io: Io): void {
  withConnection(program.command("complete"))
    .description("let the provider continue a text, and print the answer as it comes; Ctrl-C stops it")
    .argument("[text]", "the text (default: standard input)")
    .requiredOption("--model <name>", "TARGET, TARGET:TRANSFER_ID or an alias (softpost models)")
    .option("--max-tokens <n>", "tokens of the answer at most (default: 16)", wholeNumber(1))
    .option("--temperature <x>", "0 takes the likeliest tokens (default: 1)", numberBetween(0, 2))
    .option("--top-p <x>", "part of the probability that tokens are drawn from (default: 1)", numberBetween(0, 1))
    .option("--stop <text...>", "where the answer ends")
    .option("--seed <n>", "the same seed draws the same answer", wholeNumber(0))
    .addHelpText("after", NOTE)
    .action((text: string | undefined, options: Options) => run(text, options, io));
}

async function run(text: string | undefined, options: Options, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const request: CompletionOptions = {
    model: options.model,
    prompt: text ?? (await readAll(process.stdin)),
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    top_p: options.topP,
    stop: options.stop,
    seed: options.seed,
  };
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  let answer = "";
  const onText = (piece: string) => {
    answer += piece;
    if (!io.json) io.piece(piece);
  };
  try {
    for await (const event of api.complete(request, { signal: abort.signal })) {
      if (event.kind === "text") onText(event.text);
      else io.result({ text: answer, finish: event.reason }, "");
    }
  } catch (error) {
    // What came stays, on a line of its own.
    if (answer !== "" && !io.json) io.piece("\n");
    throw abort.signal.aborted ? new StoppedError("Stopped; the provider makes no more of the answer.") : error;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
  }
}
