import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runProgram } from "../../client/program.ts";

const MAIN = fileURLToPath(new URL("../../client/main.ts", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line within this process, which saves the start of another. */
export async function softpost(...args: readonly string[]): Promise<Finished> {
  let [stdout, stderr] = ["", ""];
  const code = await runProgram(args, { write: (text) => (stdout += text) }, { write: (text) => (stderr += text) });
  return { code, stdout, stderr };
}

/**
 * Runs the command line as a process of its own, as a user does.
 *
 * @param interrupt sends SIGINT once this is seen on stderr, as Ctrl-C does
 */
export function softpostProcess(args: readonly string[], interrupt?: RegExp): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr, sent] = ["", "", false];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (!sent && interrupt?.test(stderr)) sent = child.kill("SIGINT");
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
