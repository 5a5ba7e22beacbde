import type { Command } from "commander";
import { consoleFolder } from "../../infra/local/bundle.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type ConnectionOptions, findProvider } from "../api/connection.ts";
import { wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { stopSignal } from "../stop-signal.ts";

interface Options extends ConnectionOptions {
  readonly port: number;
}

const NOTE = `
The page is served from this package on this machine only, and connects to nothing else; its requests are passed on to the provider. A
provider serves the same page itself, at /console/ of its address: but it could change that one. The API key is typed into the page, and
stays in its memory.

Examples:
  softpost ui --url https://provider.example
  softpost ui --url http://127.0.0.1:8787 --port 9000

Next: open the address that it prints in a browser.`;

/** `softpost ui`: the console from the client's own package, until Ctrl-C. */
export function registerUi(program: Command, io: Io): void {
  program
    .command("ui")
    .description("serve the console, a page for a browser, from this package on this machine (loopback only)")
    .option("--url <url>", "address of the provider (or SOFTPOST_URL)")
    .option(
      "--config <file>",
      "config file whose address is taken (or SOFTPOST_CONFIG; default ~/.config/softpost/config.json)",
    )
    .option("--profile <name>", "profile of the config file", "default")
    .option("--port <n>", "port (default: a free one)", wholeNumber(0), 0)
    .addHelpText("after", NOTE)
    .action((options: Options) => run(options, io));
}

async function run(options: Options, io: Io): Promise<void> {
  const provider = await findProvider(options);
  const folder = consoleFolder();
  if (folder === undefined) {
    throw new ProblemError("The console is not built", "In a clone, npm run build writes it.", { status: 500 });
  }
  const stopped = stopSignal();
  // Loaded only here: no other command needs a server.
  const { serveConsole } = await import("../console/serve-console.ts");
  const running = await serveConsole(folder, provider, options.port);
  try {
    io.result({ url: running.url, provider }, `${running.url} (for the provider at ${provider})`);
    io.message("Ctrl-C stops it.");
    await stopped;
  } finally {
    await running.close();
  }
}
