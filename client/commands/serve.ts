import { basename, join, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import type { WantedLimits } from "../../infra/local/first-tenant.ts";
import type { Settings } from "../../infra/local/identity.ts";
import type { Provider } from "../../infra/local/provider.ts";
import manifest from "../../package.json" with { type: "json" };
import { machineMemory } from "../../shared/graph/memory.ts";
import type { Limits } from "../../shared/protocol/budget.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { FILE_FORMATS } from "../data-file.ts";
import { describeEvent, describeStart } from "../describe-provider.ts";
import { inferenceExamples } from "../inference-examples.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { stopSignal } from "../stop-signal.ts";

/** Amounts are kept in millionths of the currency. */
const MICROS = 1e6;
const SECONDS_PER_HOUR = 3600;

interface Options {
  readonly dir: string;
  readonly target?: string;
  readonly student?: string;
  readonly unknownOrigin?: boolean;
  readonly openStudent?: string;
  readonly public?: string[];
  readonly port?: number;
  readonly jobs: number;
  readonly price?: number;
  readonly promptTokenPrice?: number;
  readonly completionTokenPrice?: number;
  readonly currency?: string;
  readonly rate?: number;
  readonly cors?: string[];
  readonly moneyLimit?: number;
  readonly deviceSecondsLimit?: number;
  readonly virtualTokensLimit?: number;
  readonly tokensLimit?: number;
  readonly dailyTokensLimit?: number;
  readonly concurrentLimit?: number;
  readonly dailyLimit?: number;
  readonly epsilonLimit?: number;
  readonly deltaLimit?: number;
  readonly quiet?: boolean;
}

const NOTE = `
What --dir has already is kept: keys, ledgers, what was published, and the port, prices, limits and origins of the last time. An option
that is given changes them.

Examples:
  softpost serve --dir provider --target models/target --student models/student --public public.jsonl
  softpost serve --dir provider          # again, with what it published

Next, as a client: softpost students`;

/** `softpost serve`: a whole provider on this machine, until Ctrl-C. */
export function registerServe(program: Command, io: Io): void {
  program
    .command("serve")
    .description("run a whole provider on this machine (loopback only); what it publishes stays published")
    .requiredOption("--dir <dir>", "where the provider keeps everything")
    .option("--target <dir>", "model to transfer prompts to")
    .option("--student <dir>", "the student that was distilled from it, to publish")
    .option("--unknown-origin", "publish a student without a record that it was distilled from the target")
    .option("--open-student <dir>", "a model of its own from which prompts are taken for the target, to publish")
    .option("--public <file...>", `files of public texts (${FILE_FORMATS}), to publish`)
    .option("--port <n>", "port (default: that of the last time, or a free one)", wholeNumber(1))
    .option("--jobs <n>", "jobs that run at once, and share --threads", wholeNumber(1), 1)
    .option("--price <x>", "price of a device hour (default: 3.6)", numberBetween(0, 1e6))
    .option("--prompt-token-price <x>", "price of a million prompt tokens (default: 0.5)", numberBetween(0, 1e6))
    .option("--completion-token-price <x>", "of a million completion tokens (default: 1.5)", numberBetween(0, 1e6))
    .option("--currency <code>", "currency of all prices, from the beginning (default: USD)", currency)
    .option("--rate <n>", "requests a second of one tenant, for long (default: 50)", wholeNumber(1))
    .option("--cors <origin...>", "origins whose pages may call the API, or none (default: none)", origins)
    .option("--money-limit <x>", "money for all transfers of the first tenant (default: 1000)", numberBetween(0, 1e9))
    .option("--device-seconds-limit <n>", "device seconds for them (default: 1000000)", wholeNumber(0))
    .option("--virtual-tokens-limit <n>", "virtual tokens of all its prompts (default: 1000000)", wholeNumber(0))
    .option("--tokens-limit <n>", "tokens of its requests to models (default: 1000000000)", wholeNumber(0))
    .option("--daily-tokens-limit <n>", "such tokens a day (default: not limited)", wholeNumber(0))
    .option("--concurrent-limit <n>", "its transfers at one time (default: 10)", wholeNumber(0))
    .option("--daily-limit <n>", "its transfers a day (default: 1000)", wholeNumber(0))
    .option("--epsilon-limit <e>", "privacy limit of each of its data sets (default: none)", positiveNumber)
    .option("--delta-limit <d>", "delta of that limit (default: 1e-5)", delta)
    .option("--quiet", "print no line for every transfer")
    .addHelpText("after", NOTE)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  checkOptions(options, io);
  const { dir: folder, port, jobs: concurrency } = options;
  const stopped = stopSignal();
  // Loaded only here: a client that talks to somebody else's provider needs none of it.
  const { startProvider } = await import("../../infra/local/provider.ts").catch(needsMiniflare);
  const provider = await startProvider({
    folder,
    port,
    concurrency,
    threads: io.threads,
    device: io.device,
    settings: settingsOf(options),
    limits: limitsOf(options),
    publish: (store) => publish(store, options, io),
    onLog: options.quiet ? undefined : (line) => tellEvent(line, options, io),
  });
  try {
    const { url, key, adminSecret, clientConfig, limits, settings, models } = provider;
    const examples = examplesOf(provider);
    io.result({ url, key, adminSecret, clientConfig, limits, settings, models, examples }, describe(provider));
    for (const late of models.late) {
      io.message(`The model ${late} can't be asked yet; see ${join(options.dir, "serving", `${late}.log`)}.`);
    }
    const published = { ...options, public: options.public ?? [] };
    for (const line of describeStart(published)) io.message(line);
    await stopped;
    io.message("Stopping: running jobs write a checkpoint, and go on when it is started again.");
  } finally {
    await provider.close();
  }
}

/** Only a provider needs it, and it is large: who installs softpost gets it when a provider is wanted. @throws ProblemError that says how */
function needsMiniflare(cause: NodeJS.ErrnoException): never {
  if (cause.code !== "ERR_MODULE_NOT_FOUND" || !cause.message.includes("'miniflare'")) throw cause;
  const detail = `softpost serve runs in Miniflare (160 MB), which is not installed. Run: npm install --ignore-scripts miniflare@${manifest.peerDependencies.miniflare}`;
  throw new ProblemError("A package is missing", detail, { cause });
}

function tellEvent(line: string, { dir, currency = "USD" }: Options, io: Io): void {
  const told = describeEvent(line, { dir, currency, now: new Date() });
  if (told !== undefined) io.message(told);
}

/** @throws ProblemError for what would be passed over in silence */
function checkOptions({ target, student, openStudent }: Options, io: Io): void {
  if ((target === undefined) !== (student === undefined && openStudent === undefined)) {
    const detail = "--target is given with --student or --open-student, or none of them is.";
    throw new ProblemError("There is nothing to publish", detail);
  }
  if (io.precision !== "float32") {
    throw new ProblemError("The precision can't be used", "Jobs compute in fp32; leave --precision out.");
  }
  if (io.metrics !== undefined) {
    const detail = "Losses of transfers are in softpost status --json; leave --metrics out.";
    throw new ProblemError("There are no metrics to write", detail);
  }
}

function settingsOf(options: Options): Settings {
  const { price, promptTokenPrice, completionTokenPrice, currency, rate, cors } = options;
  const micros = (amount?: number) => (amount === undefined ? undefined : Math.round(amount * MICROS));
  const priceMicros = price === undefined ? undefined : Math.round((price * MICROS) / SECONDS_PER_HOUR);
  const promptTokenMicros = micros(promptTokenPrice);
  const completionTokenMicros = micros(completionTokenPrice);
  return { priceMicros, promptTokenMicros, completionTokenMicros, currency, ratePerSecond: rate, corsOrigins: cors };
}

function limitsOf(options: Options): WantedLimits {
  const { moneyLimit, deviceSecondsLimit, virtualTokensLimit, concurrentLimit, dailyLimit } = options;
  return {
    micros: moneyLimit === undefined ? undefined : Math.round(moneyLimit * MICROS),
    deviceSeconds: deviceSecondsLimit,
    virtualTokens: virtualTokensLimit,
    tokens: options.tokensLimit,
    dailyTokens: options.dailyTokensLimit,
    concurrent: concurrentLimit,
    daily: dailyLimit,
    epsilon: options.epsilonLimit,
    delta: options.deltaLimit,
  };
}

/** How a model is asked that continues texts; null if there is none. */
function examplesOf({ url, key, models }: Provider) {
  const model = models.all.find(({ isCausal }) => isCausal);
  return model ? inferenceExamples(url, key, model.id) : null;
}

function describe(provider: Provider): string {
  const { url, key, adminSecret, clientConfig, limits } = provider;
  const examples = examplesOf(provider);
  return [
    `${url} (description at ${url}/docs)`,
    `API key:      ${key}`,
    `Admin secret: ${adminSecret}`,
    ...(limits ? [`Its limits:   ${describeLimits(limits)}`] : []),
    `For a client:  export SOFTPOST_CONFIG=${clientConfig}`,
    ...(examples ? [`\n${examples.curl}`, `\n${examples.openai}`] : []),
  ].join("\n");
}

function describeLimits({ micros, deviceSeconds, virtualTokens, concurrent, daily, privacy, tokens }: Limits): string {
  const epsilon = privacy === null ? "privacy not limited" : `epsilon ${privacy.epsilon} at delta ${privacy.delta}`;
  return `${micros / MICROS} in money, ${tokens} tokens of requests to models, ${deviceSeconds} device seconds, ${virtualTokens} virtual tokens, ${concurrent} transfers at one time, ${daily} a day, ${epsilon}`;
}

async function publish(store: Provider["store"], options: Options, { weights }: Io): Promise<void> {
  const { target, student, openStudent, unknownOrigin = false, public: files = [] } = options;
  const { publishPublicSet, publishStudent } = await import("../../batch/storage/publish.ts");
  // Jobs and the process that answers run on this machine, so its memory must hold the target.
  const memory = machineMemory();
  const capacity = { device: memory, host: memory };
  const named = (folder: string) => ({ folder, name: basename(resolve(folder)) });
  if (target !== undefined && student !== undefined) {
    await publishStudent(store, { student: named(student), target: named(target), unknownOrigin, weights, capacity });
  }
  if (target !== undefined && openStudent !== undefined) {
    await publishStudent(store, {
      student: named(openStudent),
      target: named(target),
      kind: "open",
      weights,
      capacity,
    });
  }
  for (const file of files) await publishPublicSet(store, { file, description: "" });
}

function currency(text: string): string {
  if (!/^[A-Z]{3}$/.test(text)) throw new InvalidArgumentError("It must be a code of three capitals, such as EUR.");
  return text;
}

/** Gathers origins; the word none stands for an empty list. */
function origins(text: string, before: string[] = []): string[] {
  if (text === "none") return [];
  if (URL.parse(text)?.origin !== text) {
    throw new InvalidArgumentError("It must be an origin, such as https://console.example, or none.");
  }
  return [...before, text];
}

function delta(text: string): number {
  const value = numberBetween(0, 1)(text);
  if (value === 0 || value === 1) throw new InvalidArgumentError("It must be a number between 0 and 1.");
  return value;
}
