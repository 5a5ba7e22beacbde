import type { Command } from "commander";
import { textsOf } from "../../shared/data/jsonl.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { digestTexts, openLabelFile } from "../label-file.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { batchesOf } from "../text-batches.ts";

interface Options extends ConnectionOptions, ColumnOptions {
  readonly model: string;
  readonly data?: string;
  readonly out?: string;
  readonly resume?: boolean;
}

const NOTE = `
Examples:
  softpost classify "You have won" --model target:ID
  softpost classify --data new.csv --model target:ID --out labels.jsonl

The provider sees the texts. What is printed or written of a text is what softpost predict prints.

Next: softpost budget (the tokens that it took)`;

/** `softpost classify`: labels by a transferred prompt at the provider, without the target's files. */
export function registerClassify(program: Command, io: Io): void {
  const command = withConnection(program.command("classify"))
    .description("let the provider label a text, or all texts of a file, with a transferred prompt")
    .argument("[text]", "the text")
    .requiredOption("--model <name>", "TARGET:TRANSFER_ID or an alias (softpost models)")
    .option("--data <file>", `rows of {"text"}, in place of a text (${ROW_FORMATS})`)
    .option("--out <file>", "where their labels are written, a row a text (default: standard output)")
    .option("--resume", "go on with an unfinished --out")
    .addHelpText("after", NOTE)
    .action((text: string | undefined, options: Options) => run(text, options, io));
  withColumns(command, ["text"]);
}

async function run(text: string | undefined, options: Options, io: Io): Promise<void> {
  const { model, data, out, resume = false } = options;
  if ((text === undefined) === (data === undefined)) {
    throw new ProblemError("There is nothing to label", "Give a text, or a file with --data; not both.");
  }
  if (resume && out === undefined) throw new ProblemError("There is nothing to resume", "--resume is for --out.");
  const api = new Api(await connect(options));
  if (text !== undefined) {
    const [row] = await api.classify(model, [text]);
    io.row(JSON.stringify(row));
    return;
  }
  const given = await dataFile(data!, options, io);
  const all = await digestTexts(textsOf(given));
  // An alias may be given to another prompt in the middle.
  const { root } = await api.model(model);
  const file = out === undefined ? undefined : await openLabelFile(out, { model: root, ...all }, { resume });
  const print = (rows: readonly unknown[]) => {
    for (const row of rows) io.row(JSON.stringify(row));
  };
  const write = file ? file.append : print;
  const whenStopped = (done: number) =>
    file === undefined || done === 0
      ? "Stopped. What was printed is done; the same command begins anew."
      : `Stopped: ${done} of ${all.texts} texts are labelled in ${out}. The same command with --resume goes on.`;
  await longRun(io, whenStopped, async ({ signal, onEvent }) => {
    let done = file?.done ?? 0;
    onEvent?.({ kind: "phase", name: "labelling", total: all.texts, unit: "texts" });
    for await (const batch of batchesOf(behind(textsOf(given), done))) {
      if (signal?.aborted) throw new InterruptedError(done);
      write(
        await api.classify(root, batch, { signal }).catch((error: unknown) => {
          throw signal?.aborted ? new InterruptedError(done) : error;
        }),
      );
      done += batch.length;
      onEvent?.({ kind: "progress", done });
    }
  });
  if (!file) return;
  await file.finish();
  io.result({ out, texts: all.texts }, `${all.texts} texts are labelled in ${out}.`);
}

/** The items behind the first few. */
async function* behind<T>(items: AsyncIterable<T>, few: number): AsyncGenerator<T> {
  let seen = 0;
  for await (const item of items) if (seen++ >= few) yield item;
}
