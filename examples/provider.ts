/** A provider on this machine, and a client's prompt for it: what the examples with a provider begin with. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { distill, openModel, savePrompt, tune } from "softpost";
import { type Served, serve } from "../demo/serve.ts";
import type { Party } from "../demo/softpost.ts";

const TASK = "examples/mailbox/task.json";
const PRIVATE = "examples/mailbox/private.jsonl";
/** Test rows stand for public texts here: a provider takes texts of its own. */
const PUBLIC = resolve("examples/mailbox/test.jsonl");

export interface Prepared extends Served {
  /** Who runs commands in the provider's folder, where `service` is the `--dir` of `softpost serve`. */
  readonly provider: Party;
  /** The folder of a prompt that was tuned on the provider's student, with privacy. */
  readonly prompt: string;
}

/**
 * Makes a student of the demo's model, tunes a prompt on it, and starts `softpost serve` on a free port. So few steps learn nothing: they show the way only.
 *
 * @param folder made anew
 */
export async function prepare(folder: string): Promise<Prepared> {
  await rm(folder, { recursive: true, force: true });
  const [student, prompt] = [join(folder, "student"), join(folder, "prompt")];
  const target = await openModel("demo/model");
  // The provider is in a group of its own, which Ctrl-C in a terminal doesn't reach.
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());
  const watch = { signal: stop.signal };
  await distill({ target, public: [PUBLIC], out: student, steps: 5, maxLength: 32 }, watch);
  const model = await openModel(student);
  await savePrompt(
    await tune({ model, task: TASK, train: PRIVATE, epsilon: 8, promptTokens: 8, steps: 5, batchSize: 32 }, watch),
    prompt,
  );
  const provider = { name: "provider", folder, environment: {}, stop: stop.signal };
  const models = ["--target", resolve("demo/model"), "--student", "student", "--public", PUBLIC];
  return { ...(await serve(provider, "--dir", "service", ...models)), provider, prompt };
}
