import { createInterface } from "node:readline/promises";
import type { Sink } from "./sink.ts";

/**
 * Asks a question that yes or no answers; whatever isn't yes is no.
 * @returns undefined where nobody can be asked: input or messages are no terminal
 */
export async function askYesOrNo(question: string, stderr: Sink): Promise<boolean | undefined> {
  if (!process.stdin.isTTY || !stderr.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: stderr as NodeJS.WriteStream });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}
