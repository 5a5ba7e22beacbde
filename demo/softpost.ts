import { type ChildProcessByStdio, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Point } from "../examples/charts.ts";

const PROGRAM = fileURLToPath(new URL("../client/main.ts", import.meta.url));

/** Who runs commands, and where. */
export interface Party {
  /** What stands before its commands when they are shown. */
  readonly name: string;
  readonly folder: string;
  /** What is set for its commands. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends the command that runs. */
  readonly stop: AbortSignal;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** What a finished command says and how it went. */
export interface Finished<T = JsonObject> {
  /** The JSON result. */
  readonly result: T;
  readonly seconds: number;
  /** The loss of every step. */
  readonly losses: readonly Point[];
}

/**
 * Runs the `softpost` command line as a process of its own in the party's folder, as a user would, its progress on this terminal.
 *
 * @throws if it ends with another exit code than 0, as it does when it is stopped
 */
export async function softpost<T = JsonObject>(party: Party, ...args: readonly string[]): Promise<Finished<T>> {
  const metrics = join(party.folder, ".metrics.jsonl");
  rmSync(metrics, { force: true });
  const started = performance.now();
  const child = startSoftpost(party, ["--metrics", metrics, ...args], args);
  const end = () => child.kill("SIGTERM");
  party.stop.addEventListener("abort", end, { once: true });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const [code] = (await once(child, "close")) as [number | null];
  party.stop.removeEventListener("abort", end);
  if (code !== 0) throw new Error(`softpost ${args[0]} ended with exit code ${code}\n${output}`);
  const losses = readLosses(metrics);
  rmSync(metrics, { force: true });
  return { result: JSON.parse(output), seconds: (performance.now() - started) / 1000, losses };
}

/** Starts the command line; `shown` is what is shown of its arguments. */
export function startSoftpost(
  { name, folder, environment, stop }: Party,
  args: readonly string[],
  shown: readonly string[],
  options: SpawnOptions = {},
): ChildProcessByStdio<null, Readable, null> {
  stop.throwIfAborted();
  console.log(`\n${name}$ softpost ${shown.join(" ")}`);
  // Whoever runs the demo may have settings for softpost: they are not the demo's.
  const own = Object.entries(process.env).filter(([variable]) => !variable.startsWith("SOFTPOST_"));
  return spawn(process.execPath, [PROGRAM, "--json", ...args], {
    ...options,
    cwd: folder,
    env: { ...Object.fromEntries(own), ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

function readLosses(path: string): Point[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Point);
}
