import { basename, resolve } from "node:path";
import type { Command } from "commander";
import type { Provider } from "../../infra/local/provider.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Limits } from "../../shared/protocol/transfer.ts";
import { numberBetween, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";

/** The first tenant of a provider on one's own machine: generous, but not without limits. */
const LIMITS: Limits = {
  micros: 1e9,
  deviceSeconds: 1e6,
  virtualTokens: 1e6,
  concurrent: 10,
  daily: 1000,
  privacy: null,
};

interface Options {
  readonly dir: string;
  readonly target?: string;
  readonly student?: string;
  readonly public: string[];
  readonly port?: number;
  readonly jobs: number;
  readonly epsilonLimit?: number;
  readonly deltaLimit: number;
}

/** `softpost serve`: a whole provider on this machine, until Ctrl-C. */
export function registerServe(program: Command, io: Io): void {
  program
    .command("serve")
    .description("run a whole provider on this machine (loopback only); what it publishes stays published")
    .requiredOption("--dir <dir>", "where the provider keeps everything")
    .option("--target <dir>", "model to transfer prompts to")
    .option("--student <dir>", "the student that was distilled from it, to publish")
    .option("--public <file...>", "JSONL files of public texts, to publish", [])
    .option("--port <n>", "port (default: that of the last time, or a free one)", wholeNumber(1))
    .option("--jobs <n>", "jobs that run at once", wholeNumber(1), 1)
    .option(
      "--epsilon-limit <e>",
      "privacy limit of the first tenant's data sets (default: none)",
      numberBetween(0, 1e6),
    )
    .option("--delta-limit <d>", "delta of that limit", numberBetween(0, 1), 1e-5)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  if ((options.target === undefined) !== (options.student === undefined)) {
    throw new ProblemError("There is nothing to publish", "--target and --student are given together or not at all.");
  }
  const { dir: folder, port, jobs: concurrency, epsilonLimit: epsilon, deltaLimit: delta } = options;
  const limits = { ...LIMITS, privacy: epsilon === undefined ? null : { epsilon, delta } };
  const stopped = stopSignal();
  // Loaded only here: a client that talks to somebody else's provider needs none of it.
  const { startProvider } = await import("../../infra/local/provider.ts");
  const provider = await startProvider({ folder, port, concurrency, limits });
  try {
    await publish(provider, options);
    const { url, key, adminSecret, clientConfig } = provider;
    io.result(
      { url, key, adminSecret, clientConfig },
      `${url} (description at ${url}/docs)\nAPI key:      ${key}\nAdmin secret: ${adminSecret}\nFor a client:  export SOFTPOST_CONFIG=${clientConfig}`,
    );
    await stopped;
    io.message("Stopping: running jobs write a checkpoint.");
  } finally {
    await provider.close();
  }
}

async function publish({ store }: Provider, { target, student, public: files }: Options): Promise<void> {
  const { publishPublicSet, publishStudent } = await import("../../batch/storage/publish.ts");
  const named = (folder: string) => ({ folder, name: basename(resolve(folder)) });
  if (target !== undefined && student !== undefined) {
    await publishStudent(store, { student: named(student), target: named(target) });
  }
  for (const file of files) await publishPublicSet(store, { file, description: "" });
}

/** Resolves at the first Ctrl-C or SIGTERM; a second one ends the program at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (asked) process.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}
