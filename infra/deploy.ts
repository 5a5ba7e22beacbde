/**
 * `npm run deploy -- [--env STAGE] …`: `wrangler deploy` with the same arguments, once the stage's settings can be deployed. A trial (`--dry-run`) isn't
 * held up.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { deployFaults } from "./deploy-faults.ts";
import { parseWrangler } from "./wrangler-config.ts";

const args = process.argv.slice(2);
const at = args.findIndex((arg) => arg === "--env" || arg === "-e");
const stage = args.find((arg) => arg.startsWith("--env="))?.slice("--env=".length) ?? (at < 0 ? "dev" : args[at + 1]!);
const faults = deployFaults(parseWrangler(readFileSync(new URL("../wrangler.toml", import.meta.url), "utf8")), stage);
if (faults.length > 0 && !args.includes("--dry-run")) {
  for (const fault of faults) process.stderr.write(`wrangler.toml, stage ${stage}: ${fault}\n`);
  process.exitCode = 1;
} else {
  process.exitCode = spawnSync("wrangler", ["deploy", ...args], { stdio: "inherit" }).status ?? 1;
}
