import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../client/main.ts", import.meta.url));

/** What a finished command says and how it went. */
export interface Finished {
  /** The JSON result. */
  readonly result: Readonly<Record<string, unknown>>;
  readonly seconds: number;
  /** The loss of every step. */
  readonly losses: readonly number[];
}

/**
 * Runs the `softpost` command line as a process of its own in `folder`, as a user would, its progress on this terminal.
 *
 * @throws if it ends with another exit code than 0
 */
export async function softpost(folder: string, ...args: readonly string[]): Promise<Finished> {
  const metrics = join(folder, ".metrics.jsonl");
  rmSync(metrics, { force: true });
  console.log(`\n$ softpost ${args.join(" ")}`);
  const started = performance.now();
  const child = spawn(process.execPath, [PROGRAM, "--json", "--metrics", metrics, ...args], {
    cwd: folder,
    // The client's privacy ledger is part of the demo, not of the user's own.
    env: { ...process.env, SOFTPOST_HOME: join(folder, "client", ".softpost") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`softpost ${args[0]} ended with exit code ${code}\n${output}`);
  const losses = readLosses(metrics);
  rmSync(metrics, { force: true });
  return { result: JSON.parse(output), seconds: (performance.now() - started) / 1000, losses };
}

function readLosses(path: string): number[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.filter((line) => line !== "").map((line) => (JSON.parse(line) as { loss: number }).loss);
}
