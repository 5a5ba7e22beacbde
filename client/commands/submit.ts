import { createHash, randomUUID } from "node:crypto";
import { type Command, InvalidArgumentError } from "commander";
import { unitText } from "../../shared/privacy/unit.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { optionsSchema } from "../../shared/protocol/transfer-options.ts";
import type { Submission } from "../../shared/submission/submission.ts";
import { Api } from "../api/api.ts";
import { connect, withConnection } from "../api/connection.ts";
import type { Connection } from "../api/transport.ts";
import { readTunedPrompt } from "../api/tuned-prompt.ts";
import { type CheckFlags, checkAsked, describeCheck, refuseHalfACheck, withCheck } from "../check-flags.ts";
import { describeOptions, describeQuote } from "../describe-quote.ts";
import { NO_GUARANTEE } from "../describe-tuning.ts";
import type { TransferCheck } from "../local/check-transfer.ts";
import { longRun } from "../long-run.ts";
import { namingKey } from "../naming-key.ts";
import type { Io } from "../output.ts";
import { type TransferFlags, transferOptions, withTransferFlags } from "../transfer-options.ts";
import { bytes, next, short, shortUp } from "../words.ts";
import { refused } from "./quote.ts";

interface Options extends TransferFlags, CheckFlags {
  readonly dryRun?: boolean;
  /** False with --no-privacy. */
  readonly privacy: boolean;
  /** False with --no-gain. */
  readonly gain: boolean;
  readonly idempotencyKey?: string;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

const NOTES = `
Examples:
  softpost submit --prompt prompt --dataset my-mails --public PUBLIC --dry-run     # every byte that would leave
  softpost submit --prompt prompt --dataset my-mails --public PUBLIC
  softpost submit --prompt prompt --dataset my-mails --public auto     # the set that ranks best (a little better than a guess: docs/results.md)
  softpost submit --prompt prompt --dataset my-mails --public PUBLIC --check public-labelled.jsonl --model student     # only if it may pay

Next: softpost wait ID`;

/** `softpost submit`: sends a prompt and its manifest, and nothing else. */
export function registerSubmit(program: Command, io: Io): void {
  withCheck(withTransferFlags(withConnection(program.command("submit"))))
    .description("send a tuned prompt to a provider for transfer")
    .option("--dry-run", "show every byte that would be sent, and send nothing")
    .option("--no-privacy", "send a prompt that was tuned without differential privacy, without being asked")
    .option("--no-gain", "send it without being asked where --check finds the target as good without a prompt")
    .option("--idempotency-key <key>", "name of this submission: trying again with it never submits twice")
    .option("--name <name>", "what you call the transfer; the provider sees it, the jobs do not")
    .option("--metadata <key=value...>", "up to 16 pairs of your own, as with --name", pairs)
    .addHelpText("after", NOTES)
    .action((flags: Options, command: Command) => {
      refuseHalfACheck(flags, command);
      if (flags.dryRun && flags.check !== undefined) command.error("error: --dry-run sends nothing, --check does");
      return run(flags, io);
    });
}

async function run(flags: Options, io: Io): Promise<void> {
  const api = new Api(await connect(flags));
  const { idempotencyKey = randomUUID(), name, metadata } = flags;
  const asked = transferOptions(flags);
  const prompt = await readTunedPrompt(flags.prompt);
  const submission = await api.submission(prompt, asked, { idempotencyKey, name, metadata });
  const { manifest } = submission;
  tellGuarantee(manifest, io);
  if (flags.dryRun) return show(submission, api.connection, io);
  await requireConsent(manifest, flags, io);
  const options = optionsSchema.parse(asked);
  const quote = await api.quote(submission);
  for (const line of [describeOptions(options, manifest.task), ...describeQuote(quote, flags.dataset)])
    io.message(line);
  // What was submitted under a key is answered, whatever is left of the budgets.
  if (quote.refusals.length > 0 && flags.idempotencyKey === undefined) {
    throw await refused(api, manifest, options, quote);
  }
  const check = await checkAsked(api, flags, io);
  if (check) await requireGain(check, flags, io);
  const whenStopped = () =>
    `Stopped. Whether it arrived isn't known: softpost status shows it. To send it again, never twice: add --idempotency-key ${idempotencyKey}`;
  const transfer = await longRun(io, whenStopped, ({ signal }) =>
    api.submit(submission, { signal }).catch(namingKey(idempotencyKey)),
  );
  const labelled = name !== undefined || metadata !== undefined;
  io.message(
    `Sent ${bytes(submission.body.length)}: manifest, prompt and options${labelled ? ", with your name and metadata" : ""} (--dry-run shows all of it).`,
  );
  io.result(
    { ...transfer, ...(check && { check }) },
    `${transfer.id}: ${transfer.state}\n${next("wait", transfer.id)}`,
  );
}

/** What the people in the data are promised, before anything is sent. */
function tellGuarantee({ privacy }: Manifest, io: Io): void {
  if (privacy)
    io.message(`Private: ε ${shortUp(privacy.epsilon)} at δ ${short(privacy.delta)} for ${unitText(privacy.unit)}.`);
  else for (const line of NO_GUARANTEE) io.message(line);
}

/** @throws ProblemError unless somebody says that a prompt without a guarantee is to be sent */
async function requireConsent({ privacy }: Manifest, flags: Options, io: Io): Promise<void> {
  if (privacy || !flags.privacy) return;
  const answer = await io.confirm("Send it all the same?");
  if (answer) return;
  const detail =
    answer === undefined
      ? "It was tuned without differential privacy, and nobody is there to be asked. Tune with --epsilon, or say --no-privacy."
      : "Nothing was sent.";
  throw new ProblemError("The prompt is not private", detail);
}

/** @throws ProblemError unless the transfer may pay, or somebody says that it is to be made all the same */
async function requireGain(check: TransferCheck, { gain }: Options, io: Io): Promise<void> {
  for (const line of describeCheck(check)) io.message(line);
  if (check.mayPay || !gain) return;
  const answer = await io.confirm("Have it transferred all the same?");
  if (answer) return;
  const detail =
    answer === undefined
      ? "The target does as well without it, and nobody is there to be asked. Nothing was sent but the rows of --check; say --no-gain to send it."
      : "Nothing was sent but the rows of --check.";
  throw new ProblemError("The transfer may not pay", detail);
}

/** Everything that a submission would send. With --json the body is there to the last byte. */
function show({ headers, body, parts }: Submission, { url }: Connection, io: Io): void {
  const request = {
    method: "POST",
    url: `${url}/v1/transfers`,
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
