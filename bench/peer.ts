import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Subject, Time } from "./measure.ts";

/**
 * Another program that does the same steps, in turn with ours. It gets a step's name, the folder of the models and the sizes as
 * arguments, prints a line that begins with READY, and then, for every line "1", runs one step and prints a JSON list with its
 * wall and CPU milliseconds.
 */
export async function startPeer(
  command: readonly string[],
  args: readonly string[],
): Promise<Subject & { stop(): void }> {
  const [program, ...first] = command;
  const child = spawn(program!, [...first, ...args], { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${[...command, ...args].join(" ")} ended`);
    return value as string;
  };
  for (let line = await next(); !line.startsWith("READY"); line = await next());
  return {
    async run(): Promise<Time> {
      child.stdin.write("1\n");
      const [[wall, cpu]] = JSON.parse(await next()) as [[number, number]];
      return { wall, cpu };
    },
    stop: () => child.kill(),
  };
}
