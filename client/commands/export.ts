import { randomUUID } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { Rows } from "../../shared/data/packed-texts.ts";
import { torchFile } from "../../shared/data/torch-file.ts";
import type { Engine } from "../../shared/graph/engine.ts";
import { input } from "../../shared/graph/tensor.ts";
import type { Model } from "../../shared/models/model.ts";
import { requireFinite, requireRoom } from "../../shared/operations/checks.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { encodedTexts } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { isGeneration, type Task } from "../../shared/protocol/task.ts";
import type { Watch } from "../../shared/training/events.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import type { EncodedText } from "../../shared/training/texts.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { loadModel, loadPromptAndTask, loadVerbalizer } from "../inputs.ts";
import type { LoadedPrompt } from "../local/prompt.ts";
import { engineRun, nothingWritten } from "../long-run.ts";
import { freeName } from "../out-folder.ts";
import type { Io } from "../output.ts";
import { count } from "../words.ts";

const TITLE = "The export can't be written";

interface Options extends ColumnOptions {
  model: string;
  prompt: string;
  data: string;
  task?: string;
  servedModel?: string;
  out: string;
}

const NOTES = `
A line of --out is the body of one POST to /v1/completions of \`vllm serve … --enable-prompt-embeds\`: the rows of the soft prompt and the token
embeddings of the text in its template, float32, as the server's model takes them in place of tokens (positions are added by the server). Its
answer is one of the labels' words. Where a label has several words that is the likeliest word, while \`predict\` compares the labels' means. Of
a generation task it is text up to a stop string, as \`predict\` gives it.

The embeddings are the texts in another form: whoever has the model can read them.

Example:
  softpost export --model models/target --prompt prompts/moved --data new.jsonl --format vllm --out requests.jsonl

Next: send each line to the server's /v1/completions`;

/** `softpost export`: texts and a soft prompt in the form that another server takes. */
export function registerExport(program: Command, io: Io): void {
  const command = program
    .command("export")
    .description("write texts with a soft prompt before them as requests to a server that takes prompt embeddings")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--prompt <dir>", "soft prompt to put before every text")
    .requiredOption("--data <file>", `rows of {"text"} (${ROW_FORMATS})`)
    .option("--task <file>", "task.json (default: the task in the prompt's manifest)")
    .addOption(new Option("--format <format>", "the server that takes it").choices(["vllm"]).makeOptionMandatory())
    .option("--served-model <name>", "the model's name on the server (default: as in --model)")
    .requiredOption("--out <file>", "requests, a line of JSON a text (JSONL)")
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const { out } = options;
  if (await stat(out).catch(() => undefined)) {
    throw new ProblemError(TITLE, `--out ${out} is there already. A free name: --out ${await freeName(out)}`);
  }
  const loaded = await loadModel(options.model, io);
  const { model } = loaded;
  if (model.kind === "masked") {
    throw new ProblemError(TITLE, `${options.model} is a masked model; vLLM completes texts with causal ones only.`);
  }
  const { prompt, task } = await loadPromptAndTask(options, loaded, io);
  requireRoom(task, prompt.virtualTokens, loaded);
  const texts = await encodedTexts(await dataFile(options.data, options, io), task, loaded, io.message);
  const request = {
    model: options.servedModel ?? options.model.split("@")[0],
    temperature: 0,
    ...(await answerFields(task, loaded, io)),
  };
  await engineRun(io, nothingWritten, (engine, watch) =>
    writeLines(out, bodies({ engine, model, prompt, texts, request, name: options.model }, watch)),
  );
  io.result({ requests: texts.length, out }, `${out}: ${count(texts.length, "request")} to /v1/completions`);
}

/** What a request says of its answer: one of the labels' words, or text up to a stop string. */
async function answerFields(task: Task, loaded: OpenModel, io: Io): Promise<object> {
  if (!isGeneration(task)) {
    return { max_tokens: 1, allowed_token_ids: (await loadVerbalizer(task, loaded, io)).flatMap((ids) => [...ids]) };
  }
  return { max_tokens: task.maxNewTokens, ...(task.stop.length > 0 && { stop: task.stop }) };
}

interface Export {
  readonly engine: Engine;
  readonly model: Model;
  readonly prompt: LoadedPrompt;
  readonly texts: Rows<EncodedText>;
  /** What is the same in all requests. */
  readonly request: object;
  /** The model's, for messages. */
  readonly name: string;
}

async function* bodies({ engine, model, prompt, texts, request, name }: Export, watch: Watch): AsyncGenerator<string> {
  const session = await engine.load({ outputs: { rows: model.tokens(input("ids", "int32", ["T"])) } });
  watch.onEvent?.({ kind: "phase", name: "export", total: texts.length, unit: "texts" });
  let done = 0;
  for (const { ids } of texts) {
    if (watch.signal?.aborted) throw new InterruptedError(0);
    const { rows } = await session.run({ ids: { shape: [ids.length], data: ids } });
    requireFinite(rows!.data, `The token embeddings of ${name}`);
    const values = new Float32Array(prompt.prompt.length + rows!.data.length);
    values.set(prompt.prompt);
    values.set(rows!.data, prompt.prompt.length);
    const file = torchFile(values, prompt.virtualTokens + ids.length, prompt.dimension);
    yield JSON.stringify({ ...request, prompt_embeds: Buffer.from(file).toString("base64") });
    watch.onEvent?.({ kind: "progress", done: ++done });
  }
}

/** Writes a file that is there whole or not at all. */
async function writeLines(path: string, lines: AsyncIterable<string>): Promise<void> {
  const partial = `${path}.writing-${randomUUID()}`;
  try {
    // The texts can be read out of it, so nobody else should.
    await using file = await open(partial, "wx", 0o600);
    for await (const line of lines) await file.write(`${line}\n`);
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    throw new ProblemError(TITLE, `--out ${path} can't be written: ${cause.message}.`, { cause });
  }
}
