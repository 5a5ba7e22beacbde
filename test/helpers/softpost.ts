import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runProgram } from "../../client/program.ts";
import { temporaryFile } from "./temporary.ts";

/** What `hold-steps.ts` says when it holds. */
const HELD = "Held by the test.";
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

/** The environment of a program whose training `hold-steps.ts` holds, by what stands in `file`. */
export function holding(file: string): { NODE_OPTIONS: string; SOFTPOST_TEST_HOLD: string } {
  return { NODE_OPTIONS: `--import ${new URL("./hold-steps.ts", import.meta.url)}`, SOFTPOST_TEST_HOLD: file };
}

/**
 * Runs the command line as a process of its own, as a user does.
 *
 * @param interruptAfter sends SIGINT after so many training steps, as Ctrl-C does; or what else stands in the file of `hold-steps.ts`
 * @param environment added to this process's
 */
export function softpostProcess(
  args: readonly string[],
  interruptAfter?: number | string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const hold = interruptAfter === undefined ? {} : holding(temporaryFile("hold", String(interruptAfter)));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...hold, ...environment },
    });
    let [stdout, stderr, sent] = ["", "", false];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (!sent && stderr.includes(HELD)) sent = child.kill("SIGINT");
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
