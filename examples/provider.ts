/** A provider on this machine, and a client's prompt for it: what the examples with a provider begin with. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { distill, openModel, savePrompt, tune } from "softpost";

const MODEL = resolve("demo/model");
const TASK = "examples/mailbox/task.json";
const PRIVATE = "examples/mailbox/private.jsonl";
/** Test rows stand for public texts here: a provider takes texts of its own. */
const PUBLIC = resolve("examples/mailbox/test.jsonl");
/** The command, as npm installed it. */
const SOFTPOST = fileURLToPath(new URL("dist/softpost.js", import.meta.resolve("softpost/package.json")));

export interface Prepared {
  readonly url: string;
  /** Of the first tenant. */
  readonly key: string;
  /** The folder of a prompt that was tuned on the provider's student, with privacy. */
  readonly prompt: string;
  /** Runs `softpost` in the provider's folder, where `service` is the `--dir` of `softpost serve`. @returns its JSON result */
  command<T>(...args: readonly string[]): Promise<T>;
  /** Stops the provider and waits for its end. */
  close(): Promise<void>;
}

/**
 * Makes a student of the demo's model, tunes a prompt on it, and starts `softpost serve` on a free port. So few steps learn nothing: they show the way only.
 *
 * @param folder made anew
 */
export async function prepare(folder: string): Promise<Prepared> {
  await rm(folder, { recursive: true, force: true });
  const [student, prompt] = [join(folder, "student"), join(folder, "prompt")];
  const target = await openModel(MODEL);
  await distill({ target, public: [PUBLIC], out: student, steps: 5, maxLength: 32 });
  const model = await openModel(student);
  const schedule = { promptTokens: 8, steps: 5, batchSize: 32 };
  await savePrompt(await tune({ model, task: TASK, train: PRIVATE, epsilon: 8, ...schedule }), prompt);
  return { ...(await serve(folder)), prompt, command: (...args) => command(folder, args) };
}

async function command<T>(folder: string, args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [SOFTPOST, "--json", ...args], { cwd: folder });
  return JSON.parse(stdout);
}

/** Starts `softpost serve`; it ends with this process. @throws if it ends before it answers */
async function serve(folder: string): Promise<Pick<Prepared, "url" | "key" | "close">> {
  const args = ["serve", "--dir", "service", "--target", MODEL, "--student", "student", "--public", PUBLIC];
  const child = spawn(process.execPath, [SOFTPOST, "--json", ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  process.once("exit", () => child.kill());
  const [line] = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
  if (typeof line !== "string") throw new Error("softpost serve ended before it answered.");
  const { url, key } = JSON.parse(line);
  return {
    url,
    key,
    async close() {
      child.kill();
      await ended;
    },
  };
}
