import { createHash, randomUUID } from "node:crypto";
import { type Command, InvalidArgumentError } from "commander";
import type { TransferOptions } from "../../shared/protocol/transfer.ts";
import { Api } from "../api/api.ts";
import { type Connection, type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { type SubmitRequest, submitRequest } from "../api/submission.ts";
import { readTunedPrompt } from "../api/tuned-prompt.ts";
import { numberBetween } from "../options.ts";
import type { Io } from "../output.ts";
import { ALPHA, type HowToTransfer, withHowToTransfer } from "../transfer-options.ts";

export interface TransferFlags extends ConnectionOptions, HowToTransfer {
  readonly prompt: string;
  readonly dataset: string;
  readonly public: string;
  readonly alpha?: number;
}

interface Options extends TransferFlags {
  readonly dryRun?: boolean;
  readonly idempotencyKey?: string;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Adds the options that say what to transfer and how. */
export function withTransferFlags(command: Command): Command {
  command
    .requiredOption("--prompt <dir>", "the tuned prompt's folder")
    .requiredOption("--dataset <id>", "an opaque name of the private data set, the same for all its prompts")
    .requiredOption("--public <id>", "the provider's public set to transfer on")
    .option("--alpha <a>", ALPHA, numberBetween(0, 1));
  return withHowToTransfer(command);
}

/** The options as the API takes them; what isn't given is the provider's default. */
export function transferOptions(flags: TransferFlags): Partial<TransferOptions> {
  const { dataset, public: publicSet, loss, steps, batchSize, lr: learningRate, alpha, answers, seed } = flags;
  const { start: starts, select: selected } = flags;
  const given = Object.entries({ loss, steps, batchSize, learningRate, alpha, starts, selected, answers, seed }).filter(
    ([, value]) => value !== undefined,
  );
  return { dataset, publicSet, ...Object.fromEntries(given) };
}

/** `softpost submit`: sends a prompt and its manifest, and nothing else. */
export function registerSubmit(program: Command, io: Io): void {
  withTransferFlags(withConnection(program.command("submit")))
    .description("send a tuned prompt to a provider for transfer")
    .option("--dry-run", "show every byte that would be sent, and send nothing")
    .option("--idempotency-key <key>", "name of this submission: trying again with it never submits twice")
    .option("--name <name>", "what you call the transfer; the provider sees it, the jobs do not")
    .option("--metadata <key=value...>", "up to 16 pairs of your own, as with --name", pairs)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const prompt = await readTunedPrompt(options.prompt, api);
  const { name, metadata, idempotencyKey = randomUUID() } = options;
  const labels = name === undefined && metadata === undefined ? undefined : { name, metadata };
  const request = submitRequest(prompt, transferOptions(options), idempotencyKey, labels);
  if (options.dryRun) return show(request, api.connection, io);
  const transfer = await api.submit(request);
  io.message(
    `Sent ${request.body.length} bytes: the manifest, the prompt and the options${labels ? ", with your name and metadata" : ""}. (--dry-run shows them all.)`,
  );
  io.result(transfer, `${transfer.id}: ${transfer.state}. Next: softpost wait ${transfer.id}`);
}

/** Everything that a submission would send. With --json the body is there to the last byte. */
function show({ path, headers, body, parts }: SubmitRequest, { url }: Connection, io: Io): void {
  const request = {
    method: "POST",
    url: url + path,
    headers: { ...headers, authorization: "Bearer (your API key)", "content-length": String(body.length) },
    body: Buffer.from(body).toString("base64"),
  };
  const lines = [
    `POST ${request.url}`,
    ...Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`),
    ...parts.flatMap(({ name, type, bytes }) => [
      "",
      `Part "${name}", ${bytes.length} bytes, ${type}:`,
      describe(type, bytes),
    ]),
    "",
    "Nothing of it was sent; the provider was asked for its list of students. With --json the whole body is printed, as base64.",
  ];
  io.result(request, lines.join("\n"));
}

/** Gathers `key=value`. */
function pairs(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be a pair, such as commit=1f3c9a2.");
  const key = text.slice(0, at);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`It names ${key} twice.`);
  return { ...before, [key]: text.slice(at + 1) };
}

function describe(type: string, bytes: Uint8Array): string {
  if (type === "application/json") return new TextDecoder().decode(bytes).trimEnd();
  const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, header)).trimEnd();
  const digest = createHash("sha256").update(bytes).digest("hex");
  return `${text}\n… and ${bytes.length - header} bytes of numbers; SHA-256 of the part: ${digest}`;
}
