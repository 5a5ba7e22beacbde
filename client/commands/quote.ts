import type { Command } from "commander";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import type { Quote } from "../../shared/protocol/quote.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import { optionsSchema, type TransferOptions } from "../../shared/protocol/transfer-options.ts";
import { Api } from "../api/api.ts";
import { connect, withConnection } from "../api/connection.ts";
import { readTunedPrompt } from "../api/tuned-prompt.ts";
import { type CheckFlags, checkAsked, describeCheck, refuseHalfACheck, withCheck } from "../check-flags.ts";
import { describeOptions, describeQuote } from "../describe-quote.ts";
import type { Io } from "../output.ts";
import { asWords, type TransferFlags, transferOptions, withTransferFlags } from "../transfer-options.ts";
import { next } from "../words.ts";

const NOTES = `
Only the manifest is sent, not the prompt. Ends with 1 if the transfer would be refused.

Whether a transfer pays can't be told from the prompt and public texts alone (docs/results.md). With labelled rows that the provider may see, --check tells
beforehand if the target does as well without a prompt as the student with yours: it is asked at the provider, which costs the tokens of these texts.

Examples:
  softpost quote --prompt prompt --dataset my-mails --public PUBLIC
  softpost quote --prompt prompt --dataset my-mails --public PUBLIC --check public-labelled.jsonl --model student

Next: softpost submit, with the same options`;

type Options = TransferFlags & CheckFlags;

/** `softpost quote`: what a transfer would cost. Only the manifest is sent, not the prompt. */
export function registerQuote(program: Command, io: Io): void {
  withCheck(withTransferFlags(withConnection(program.command("quote"))))
    .description("ask what a transfer would cost and whether the budgets allow it")
    .addHelpText("after", NOTES)
    .action((flags: Options, command: Command) => {
      refuseHalfACheck(flags, command);
      return run(flags, io);
    });
}

async function run(flags: Options, io: Io): Promise<void> {
  const api = new Api(await connect(flags));
  const asked = transferOptions(flags);
  const { manifest } = await api.submission(await readTunedPrompt(flags.prompt), asked);
  const options = optionsSchema.parse(asked);
  const quote = await api.quote({ manifest, options: asked });
  const lines = [describeOptions(options, manifest.task), ...describeQuote(quote, flags.dataset)];
  if (quote.refusals.length > 0) {
    for (const line of lines) io.message(line);
    throw await refused(api, manifest, options, quote);
  }
  const check = await checkAsked(api, flags, io);
  const told = check ? describeCheck(check) : [];
  io.result({ ...quote, ...(check && { check }) }, [...lines, ...told, next("submit", ...asWords(flags))].join("\n"));
}

/** A refusal in the user's units, and what would fit where it is a matter of steps. */
export async function refused(
  api: Api,
  manifest: Manifest,
  options: TransferOptions,
  quote: Quote,
): Promise<ProblemError> {
  const steps = await stepsThatFit(api, manifest, options, quote);
  const faults = quote.refusals.map(({ budget, message }) => ({
    at: budget,
    message:
      steps !== undefined && (budget === "money" || budget === "deviceSeconds")
        ? `${message} --steps ${steps} would fit.`
        : message,
  }));
  return new ProblemError(
    "The transfer would be refused",
    "A budget doesn't allow it; nothing was sent but the manifest.",
    {
      status: 402,
      faults,
    },
  );
}

/** Quotes that are asked for to confirm a number of steps. */
const TRIES = 3;

/**
 * The number of steps for which money and device time suffice, if nothing else stands in the way. Cost is linear in the steps; the provider's own quote
 * confirms the number, or a smaller one is tried.
 */
async function stepsThatFit(
  api: Api,
  manifest: Manifest,
  options: TransferOptions,
  quote: Quote,
): Promise<number | undefined> {
  if (quote.refusals.some(({ budget }) => budget !== "money" && budget !== "deviceSeconds")) return undefined;
  const { reserve, left, model } = quote;
  const { task, prompt } = manifest;
  const length = task.maxLength + (isGeneration(task) ? task.maxNewTokens : 0);
  const aStep = 3 * options.starts.length * (options.batchSize * length + prompt.virtualTokens);
  // Of what is set aside, the part that goes with the steps, in proportion to the positions that are computed.
  const shareOfSteps = Math.min(1, (aStep * options.steps) / model.tokens);
  const over = Math.max(-(left.money ?? 0) / reserve.micros, -(left.deviceSeconds ?? 0) / reserve.deviceSeconds);
  let steps = Math.floor(options.steps * (1 - over / shareOfSteps));
  for (let i = 0; i < TRIES && steps >= 1; i++) {
    const rounded = steps >= 20 ? Math.floor(steps / 10) * 10 : steps;
    const { refusals } = await api.quote({ manifest, options: { ...options, steps: rounded } });
    if (refusals.length === 0) return rounded;
    steps = Math.floor(rounded * 0.8);
  }
  return undefined;
}
