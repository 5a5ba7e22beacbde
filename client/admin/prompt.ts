import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Io } from "../output.ts";

/** A line that is typed and not shown. @throws ProblemError where nobody can type */
export async function askSecret(io: Io, question: string): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new ProblemError("There is no secret", "Give --secret-file: without a terminal it can't be asked for.");
  }
  io.stderr.write(question);
  const answer = await ask(new Writable({ write: (_chunk, _encoding, done) => done() }));
  io.stderr.write("\n");
  return answer.trim();
}

/**
 * Goes on only if `name` is given, or typed where there is a terminal.
 *
 * @param given what `--confirm` says
 * @throws ProblemError if it is another one
 */
export async function confirm(io: Io, what: string, name: string, given: string | undefined): Promise<void> {
  let said = given;
  if (said === undefined && process.stdin.isTTY) {
    io.stderr.write(`${what}\nType ${name} to go on: `);
    said = (await ask(process.stderr)).trim();
  }
  if (said === name) return;
  throw new ProblemError("Nothing was done", `${what} To confirm it, give --confirm ${JSON.stringify(name)}.`);
}

async function ask(output: NodeJS.WritableStream): Promise<string> {
  const reader = createInterface({ input: process.stdin, output, terminal: true });
  try {
    return await reader.question("");
  } finally {
    reader.close();
  }
}
